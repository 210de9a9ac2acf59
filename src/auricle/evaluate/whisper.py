"""A Whisper through faster-whisper: the peer that `auricle eval` sets beside a model on speech.

Its settings are faster-whisper's own (a beam of 5, timestamps predicted, no voice activity filter), but for one: where
that draws again at higher temperatures after an unlikely answer, we keep the first, so that a run can be repeated.
"""

import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from auricle import audio
from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.evaluate.identity import FileHashes, model_hash
from auricle.evaluate.machine import cores_each
from auricle.evaluate.opener import WHISPER as ENGINE
from auricle.evaluate.opener import Identity
from auricle.evaluate.requests import Form
from auricle.evaluate.sample import Answered, Sample

SAMPLING = Sampling(num_beams=5, max_new_tokens=448)
"""What faster-whisper does; 448 tokens is all that Whisper's text decoder holds, prompt and answer, for each window."""
COMPUTE_TYPES = ("float32", "float16", "bfloat16", "int8")


class WhisperAnswerer:
    """An open Whisper as an `Answerer`: transcripts and translations into English, one recording after the other."""

    def __init__(self, model: Any, *, identity: str) -> None:
        self.identity = identity
        self.sampling = SAMPLING
        self._model = model

    def answer(self, samples: Iterable[Sample]) -> Iterator[Answered]:
        """As `Answerer` says.

        Raises:
            UserError: a sample asks for anything else, or is in a language that the model has no tag for.
        """
        for sample in samples:
            refuse(sample)
            self._require_language(sample)
            try:
                waveform = audio.load(sample.audio)
            except UserError as error:
                yield Answered(sample, "", failure=str(error))
                continue
            if sample.duration_s is None:
                sample = replace(sample, duration_s=waveform.duration_s)
            yield self._answered(sample, waveform)

    def _require_language(self, sample: Sample) -> None:
        tag = f"<|{sample.language}|>"
        if sample.language is not None and self._model.hf_tokenizer.token_to_id(tag) is None:
            raise UserError(
                f"this Whisper has no language {sample.language!r}, which {sample.source} is in; leave that out, or "
                "give a Whisper that has it"
            )

    def _answered(self, sample: Sample, waveform: audio.Waveform) -> Answered:
        task = "transcribe" if sample.task == "asr" else "translate"
        segments, _ = self._model.transcribe(
            waveform.samples, language=sample.language, task=task, beam_size=SAMPLING.num_beams, temperature=0.0
        )
        found = list(segments)
        text = "".join(segment.text for segment in found).strip()
        return Answered(sample, text, sum(len(segment.tokens) for segment in found))


@dataclass(frozen=True)
class WhisperOpener:
    """A Whisper of a run, known by its files before it is loaded; `directory` holds model.bin and its vocabulary."""

    identity: Identity
    directory: Path
    device: str

    def form(self, sample: Sample) -> Form:
        """`none`: Whisper is told a task and a language.

        Raises:
            UserError: the sample asks for anything else.
        """
        refuse(sample)
        return "none"

    def open(self, place: int, num_processes: int) -> WhisperAnswerer:
        """Load it; each process takes a GPU of its own as long as there are some.

        Raises:
            UserError: faster-whisper is not installed, or cannot load it.
        """
        require_faster_whisper()
        import ctranslate2
        from faster_whisper import WhisperModel

        try:
            model = WhisperModel(
                str(self.directory),
                device=self.device,
                device_index=place % ctranslate2.get_cuda_device_count() if self.device == "cuda" else 0,
                compute_type=self.identity.dtype,
                cpu_threads=0 if num_processes == 1 else cores_each(num_processes),  # 0: its own
            )
        except (RuntimeError, ValueError) as error:  # what CTranslate2 raises
            raise UserError(f"faster-whisper cannot load {self.directory}: {error}") from error
        return WhisperAnswerer(model, identity=self.identity.text)


def whisper_opener(
    model: str | Path, *, dtype: str = "auto", device: str = "auto", hashes: FileHashes | None = None
) -> WhisperOpener:
    """Find a converted Whisper and hash its files; nothing is loaded.

    Args:
        model: a directory in CTranslate2's layout (model.bin, config.json, tokenizer.json, vocabulary), such as
            `bench/whisper_base.py` makes.
        dtype: one of COMPUTE_TYPES, or auto: float16, as the weights are kept, on a GPU and float32 on a CPU, which is
            what faster-whisper takes by default.
        device: cpu, cuda or auto.
        hashes: where hashes are remembered.

    Raises:
        UserError: faster-whisper is not installed, the directory holds no Whisper, or no such dtype or device.
    """
    require_faster_whisper()
    directory = Path(model)
    lacking = [name for name in ("model.bin", "config.json", "tokenizer.json") if not (directory / name).is_file()]
    if lacking:
        raise UserError(
            f"{directory} holds no Whisper for faster-whisper: it lacks {', '.join(lacking)}; make one with "
            "`python bench/whisper_base.py DIR`"
        )
    device, dtype = _arithmetic(device, dtype)
    found = model_hash(directory, hashes or FileHashes())
    return WhisperOpener(Identity(str(model), found, ENGINE, dtype, SAMPLING), directory, device)


def _arithmetic(device: str, dtype: str) -> tuple[str, str]:
    """Both without auto."""
    import ctranslate2

    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"faster-whisper runs on auto, cpu or cuda: got {device!r}")
    num_gpus = ctranslate2.get_cuda_device_count()
    if device == "cuda" and not num_gpus:
        raise UserError("faster-whisper finds no GPU; leave --device out, or say cpu")
    device = ("cuda" if num_gpus else "cpu") if device == "auto" else device
    dtype = ("float16" if device == "cuda" else "float32") if dtype == "auto" else dtype
    if dtype not in COMPUTE_TYPES:
        raise UserError(f"faster-whisper computes in {', '.join(COMPUTE_TYPES)} or auto: got {dtype!r}")
    return device, dtype


def refuse(sample: Sample) -> None:
    """Whisper transcribes, and translates into English.

    Raises:
        UserError: the sample asks for anything else.
    """
    to = sample.target_language
    if sample.task != "asr" and (sample.task != "translation" or to != "en"):
        what = f"a translation into {to}" if sample.task == "translation" else f"the task {sample.task}"
        raise UserError(
            f"Whisper transcribes, and translates into English, but {sample.source} asks for {what}; name other "
            "sources, such as 'debian-speech/asterisk_*'"
        )


def require_faster_whisper() -> None:
    """Raises a UserError where it is not installed."""
    if importlib.util.find_spec("faster_whisper") is None:
        raise UserError("faster-whisper is not installed; pip install 'auricle[whisper]'")
