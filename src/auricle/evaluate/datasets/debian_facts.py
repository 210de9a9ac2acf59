"""What debian-speech holds, set by set: hours, clips, speakers, and whether the embedded model knows them."""

from collections.abc import Iterable
from dataclasses import dataclass

from auricle.evaluate.datasets.debian_speech import KNOWN
from auricle.evaluate.sample import Sample, Task

_HEADINGS = ("source", "task", "clips", "minutes", "words", "speakers", "speaker in training")


@dataclass(frozen=True, slots=True)
class SetFacts:
    """One source. num_words: of its references, by spaces; of a closed list of labels, how many labels it has.

    speakers: `1`, `1 or more` where the package does not name them, `none` of sounds. known: whether the embedded
    model was trained on other recordings of the speaker: `known`, `new`, or `none` of sounds.
    """

    source: str
    task: Task
    num_clips: int
    audio_s: float
    num_words: int
    speakers: str
    known: str


def describe(samples: Iterable[Sample]) -> list[SetFacts]:
    """The facts of every source, in the order in which they come."""
    sources: dict[str, list[Sample]] = {}
    for sample in samples:
        sources.setdefault(sample.source, []).append(sample)
    return [_facts(found) for found in sources.values()]


def facts_table(facts: Iterable[SetFacts]) -> str:
    """As a table in Markdown."""
    rows = [
        (
            one.source,
            one.task,
            str(one.num_clips),
            f"{one.audio_s / 60:.1f}",
            f"{one.num_words} labels" if one.task == "sound" else str(one.num_words),
            one.speakers,
            one.known,
        )
        for one in facts
    ]
    lines = [_HEADINGS, ("---",) * len(_HEADINGS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _facts(samples: list[Sample]) -> SetFacts:
    first = samples[0]
    words = len(first.labels) if first.labels else sum(len(sample.reference.split()) for sample in samples)
    audio_s = sum(sample.duration_s or 0.0 for sample in samples)
    known = dict(first.details).get(KNOWN, "none")
    return SetFacts(first.source, first.task, len(samples), audio_s, words, _speakers(samples), known)


def _speakers(samples: list[Sample]) -> str:
    names = {sample.speaker for sample in samples if sample.speaker is not None}
    if not names:
        return "none"
    return f"{len(names)} or more" if any(name.startswith("tuxpaint-") for name in names) else str(len(names))
