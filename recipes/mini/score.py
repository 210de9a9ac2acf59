"""WER of a model on the two held-out English sets, with intervals.

    python recipes/mini/score.py --data DIR --model mini [--dtype bfloat16] [--json FILE]

normalised: Whisper's English normaliser on both sides. strict: words as written, case and punctuation count.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from whisper_normalizer.english import EnglishTextNormalizer

import auricle
from auricle.metrics import WER, edit_counts, interval
from clips import Clip, read_manifest

SETS = {
    "asterisk-en": "held-out prompts: known speaker, new words",
    "librivox": "audiobook sentences: new speaker",
}


def test_clips(data: Path, name: str) -> list[Clip]:
    """The test split of a source."""
    return [clip for clip in read_manifest(data / f"{name}.jsonl") if clip.split == "test"]


def score(clips: list[Clip], hypotheses: list[str]) -> dict[str, dict[str, float]]:
    """Both error rates with their 95 % intervals; references that normalise to nothing are left out of both."""
    normal = EnglishTextNormalizer()
    said = [(clip, text) for clip, text in zip(clips, hypotheses, strict=True) if normal(clip.text)]
    speakers = [clip.speaker for clip, _ in said]
    found = {}
    for kind, form in (("normalised", normal), ("strict", str)):
        counts = np.array([edit_counts(form(clip.text).split(), form(text).split()) for clip, text in said])
        found[kind] = asdict(interval(counts, speakers, WER))
    return found


def main() -> None:
    """Transcribe both sets as `auricle transcribe` does, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    assistant = auricle.load(arguments.model, dtype=arguments.dtype)
    report: dict[str, object] = {"model": arguments.model, "dtype": arguments.dtype}
    for name, meaning in SETS.items():
        clips = test_clips(arguments.data, name)
        started = time.monotonic()
        results = assistant.transcribe([arguments.data / clip.audio for clip in clips])
        said = [result.text for result in results]
        found = score(clips, said)
        report[name] = found | {
            "clips": len(clips),
            "audio_s": round(sum(clip.duration_s for clip in clips), 1),
            "took_s": round(time.monotonic() - started, 1),
            "pairs": [[clip.id, clip.text, text] for clip, text in zip(clips, said, strict=True)],
        }
        shown = "  ".join(
            f"{kind} WER {value['value']:.1%} [{value['low']:.1%}, {value['high']:.1%}]"
            for kind, value in found.items()
        )
        print(f"{name} ({meaning}), {len(clips)} clips: {shown}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
