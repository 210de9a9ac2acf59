"""What each way of calling vLLM carelessly costs: word error rates beside the way that `auricle eval` calls it.

    auricle export mini MODEL
    VLLM_CPU_KVCACHE_SPACE=4 python bench/vllm_pitfalls.py MODEL debian-speech/asterisk_en --limit 40

Run it where vLLM is installed. Every row changes one thing of a call that is otherwise right: `LLM.generate` on the
published prompt, greedy, at most 256 tokens. The repetition penalty is that of the published Instruct checkpoint's
generation_config.json, put into a copy of the model's. The rows on recordings of more than 30 s hear the same clips,
joined until each recording is that long. One answer that never ends can outweigh all others, so that the rate of those
that ended stands beside the rate of all.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from auricle import audio, units
from auricle.audio import Waveform
from auricle.conversation import Audio, RawPrompt
from auricle.engines import Request, open_engine
from auricle.evaluate.normalise import open_mode
from auricle.evaluate.requests import OFFICIAL
from auricle.evaluate.sample import Sample
from auricle.evaluate.tasks import find_samples, limited
from auricle.metrics.error_rate import edit_counts

PENALTY = 1.1  # Qwen2-Audio-7B-Instruct's generation_config.json
JOINED_S = 40.0
PAUSE_S = 0.3
PLACE = "<|audio_bos|><|AUDIO|><|audio_eos|>"


Said = tuple[str, bool]
"""An answer, and whether it ended by itself."""


@dataclass(frozen=True)
class Clip:
    """A sample with its sound."""

    sample: Sample
    waveform: Waveform


class Careless:
    """`vllm.LLM` as its examples open it; one thing wrong at a time."""

    def __init__(self, model: Path) -> None:
        import vllm

        self._vllm = vllm
        self._llm = vllm.LLM(
            str(model), dtype="float32", max_num_seqs=8, enforce_eager=True, limit_mm_per_prompt={"audio": 1}
        )
        self._stop = list(self._llm.get_tokenizer().encode("<|im_end|>"))

    def answer(
        self, clips: Sequence[Clip], *, place: str = PLACE, heard: bool = True, penalty: bool = False, long: bool = True
    ) -> list[Said]:
        """One answer each. penalty: start from the model's own defaults; long: say how long an answer may be."""
        settings: dict[str, Any] = {"temperature": 0.0, "min_tokens": 1, "stop_token_ids": self._stop}
        settings |= {"max_tokens": OFFICIAL.max_new_tokens} if long else {}
        params = self._llm.get_default_sampling_params() if penalty else self._vllm.SamplingParams()
        params = self._vllm.SamplingParams(
            **({"repetition_penalty": params.repetition_penalty} if penalty else {}), **settings
        )
        prompts: list[dict[str, Any]] = []
        for clip in clips:
            prompt: dict[str, Any] = {"prompt": place + clip.sample.prompt}
            if heard:
                prompt["multi_modal_data"] = {"audio": [(clip.waveform.samples, units.SAMPLE_RATE)]}
            prompts.append(prompt)
        outputs = [output.outputs[0] for output in self._llm.generate(prompts, params, use_tqdm=False)]
        return [(output.text, output.finish_reason == "stop") for output in outputs]


def ours(model: Path, clips: Sequence[Clip]) -> list[Said]:
    """As `auricle eval run --engine vllm` asks."""
    engine = open_engine(model, engine="vllm", dtype="float32", batch_size=8)
    requests = [Request(RawPrompt((Audio(), clip.sample.prompt)), (clip.waveform,)) for clip in clips]
    return [(answer.text, answer.finish_reason == "stop") for answer in engine.generate(requests, OFFICIAL)]


def word_error_rate(clips: Sequence[Clip], answers: Sequence[Said]) -> str:
    """In %, as the published scripts count: of all, of those that ended, and how many did not."""
    mode = open_mode("official", [clip.sample for clip in clips])
    counts = np.zeros((2, 4), dtype=np.int64)  # cut off, ended
    for clip, (answer, ended) in zip(clips, answers, strict=True):
        pair = mode.words(clip.sample, answer)
        counts[int(ended)] += edit_counts(pair.reference, pair.answer)
    told = [f"{100 * sums[:3].sum() / sums[3]:.1f} %" if sums[3] else "-" for sums in (counts.sum(axis=0), counts[1])]
    return " | ".join([*told, str(sum(not ended for _, ended in answers))])


def joined(clips: Sequence[Clip]) -> list[Clip]:
    """Clips one after another, with pauses, in recordings of JOINED_S or a little more; a shorter rest is left out."""
    pause = np.zeros(round(PAUSE_S * units.SAMPLE_RATE), np.float32)
    found, parts, texts = [], list[np.ndarray](), list[str]()
    for clip in clips:
        parts += [clip.waveform.samples, pause]
        texts.append(clip.sample.reference)
        if sum(map(len, parts)) >= JOINED_S * units.SAMPLE_RATE:
            sample = replace(clip.sample, reference=" ".join(texts))
            found.append(Clip(sample, Waveform(np.concatenate(parts))))
            parts, texts = [], []
    return found


def with_penalty(model: Path, scratch: Path) -> Path:
    """A copy of the model whose generation_config.json has the repetition penalty."""
    copy = scratch / "model"
    shutil.copytree(model, copy)
    path = copy / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"repetition_penalty": PENALTY}))
    return copy


def measure(model: Path, clips: Sequence[Clip]) -> list[tuple[str, str]]:
    """What was called, and its word error rate or why there is none."""
    long = joined(clips)
    rows = []

    def row(name: str, asked: Sequence[Clip], answers: Sequence[Said]) -> None:
        rows.append((name, word_error_rate(asked, answers)))
        print(*rows[-1], sep="\t", flush=True)

    answers = ours(model, [*clips, *long])
    row("auricle eval run --engine vllm", clips, answers[: len(clips)])
    careless = Careless(model)
    row("LLM.generate, all said", clips, careless.answer(clips))
    row(f"the model's own repetition penalty, {PENALTY}", clips, careless.answer(clips, penalty=True))
    row("no max_tokens: 16 of them", clips, careless.answer(clips, long=False))
    row("the placeholder without its two brackets", clips, careless.answer(clips, place="<|AUDIO|>"))
    row("the recording's place left out, and the recording", clips, careless.answer(clips, place="", heard=False))
    try:
        row("the recording's place left out", clips, careless.answer(clips, place=""))
    except Exception as error:  # whatever vLLM says
        rows.append(("the recording's place left out", f"refused: {str(error).splitlines()[0]} | - | -"))
        print(*rows[-1], sep="\t", flush=True)
    if long:
        row(f"auricle, {len(long)} recordings of more than 30 s", long, answers[len(clips) :])
        row(f"LLM.generate, {len(long)} recordings of more than 30 s, cut", long, careless.answer(long))
    return rows


def main() -> None:
    """Arguments: see above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a plain checkpoint directory")
    parser.add_argument("task", help="as `auricle eval run` takes it: recognition in one language")
    parser.add_argument("--limit", type=int, default=40)
    arguments = parser.parse_args()
    samples = limited(find_samples([arguments.task]), arguments.limit)
    clips = [Clip(sample, audio.load(sample.audio)) for sample in samples]
    with TemporaryDirectory() as scratch:
        rows = measure(with_penalty(arguments.model, Path(scratch)), clips)
    print()
    print(
        "| way of calling | WER | of answers that ended | others |",
        "|---|---|---|---|",
        *(f"| {name} | {rate} |" for name, rate in rows),
        sep="\n",
    )


if __name__ == "__main__":  # vLLM starts processes of its own, which import this file
    main()
