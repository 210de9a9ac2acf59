"""Scoring that forgives nothing a reader would see: ours, beside the official figures.

The official procedure cannot tell `two o'clock` from `2 o'clock`, nor a text with commas from one without, and it
deletes whatever stands in brackets. Here a text counts as it is written.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from auricle.assistant.languages import UNSPACED
from auricle.evaluate.normalise.chinese import simplified
from auricle.evaluate.normalise.interface import ModeName, Pair
from auricle.evaluate.normalise.markup import TAG
from auricle.evaluate.sample import Sample

Conventions = tuple[tuple[str, bool, bool], ...]  # (source, whether case counts, whether punctuation counts)
_CONVENTION_SHARE = 0.1  # of a source's references that must show a convention: a stray capital or comma shows none
_STRAIGHT = str.maketrans("‘’‛“”„", "'''\"\"\"")  # typography, which nobody hears
_SPOKEN = frozenset("%&@#§")  # punctuation to Unicode, words to a reader
# Over kinds of characters, see `_kinds`: a tag; a run of letters, digits and their marks, with apostrophes between
# letters and points between digits; a character of an unspaced script; anything else that is not a space.
_TOKEN = re.compile(r"<\|.*?\|>|(?:[LMN]|(?<=[LM])'(?=L)|(?<=N)\.(?=N))+|[^Z]")


@dataclass(frozen=True, slots=True)
class Convention:
    """How a source writes its references: whether upper case and punctuation tell anything there."""

    case: bool
    punctuation: bool

    @staticmethod
    def of(references: Sequence[str]) -> "Convention":
        """Case counts where a tenth of the references have both cases, punctuation where a tenth have any.

        An apostrophe is spelling, not punctuation, wherever it stands.
        LibriSpeech, upper case with apostrophes alone, has neither; Common Voice and FLEURS in English have both.
        """
        cased = sum(any(map(str.isupper, text)) and any(map(str.islower, text)) for text in references)
        marked = sum(any(map(_is_punctuation, _cut(text.replace("'", ""), unspaced=False))) for text in references)
        least = max(1.0, _CONVENTION_SHARE * len(references))
        return Convention(case=cased >= least, punctuation=marked >= least)


class Strict:
    """A text as it is written. It needs each source's references, to learn what that source writes down at all."""

    name: ModeName = "strict"

    def __init__(self, conventions: Mapping[str, Convention]) -> None:
        """conventions: by source."""
        self._conventions = dict(conventions)
        self.reasons = (*_REASONS, *_sentences(conventions))

    @staticmethod
    def for_samples(samples: Iterable[Sample], known: Conventions = ()) -> "Strict":
        """Learn the convention of each source of transcripts, but of those that are known already.

        samples: whole sources, not a slice of them. known: as `conventions_of` gave them.
        """
        conventions = {source: Convention(case, punctuation) for source, case, punctuation in known}
        return Strict(conventions | _learned(sample for sample in samples if sample.source not in conventions))

    def words(self, sample: Sample, answer: str) -> Pair:
        """Both sides of a transcription: words and, where they count, punctuation marks, each a token.

        Unspaced scripts (zh, yue, ja, th) are cut into characters, but Latin words and runs of digits stay whole.

        Raises:
            KeyError: the sample's source was not among those that the mode was made for.
            UserError: zhconv is not installed, for zh and yue.
        """
        convention = self._conventions[sample.source]
        return Pair(_tokens(sample, sample.reference, convention), _tokens(sample, answer, convention))

    def translation(self, sample: Sample, answer: str) -> tuple[str, str]:
        """Both without tags and surrounding white space, in NFC."""
        reference, said = (unicodedata.normalize("NFC", TAG.sub(" ", text)) for text in (sample.reference, answer))
        return reference.strip(), said.strip()

    def label(self, sample: Sample, answer: str) -> str | None:
        """The label that the whole answer is, but for case and what punctuation and white space surround it."""
        said = _bare(answer)
        return next((label for label in (sample.reference, *sample.labels) if said and _bare(label) == said), None)


def conventions_of(samples: Iterable[Sample]) -> Conventions:
    """What each source of transcripts writes down, for a run to keep before it asks only a part of them.

    samples: whole sources, not a slice of them.

    Raises:
        UserError: zhconv is not installed, for zh and yue.
    """
    return tuple((source, how.case, how.punctuation) for source, how in sorted(_learned(samples).items()))


def _learned(samples: Iterable[Sample]) -> dict[str, Convention]:
    references: dict[str, list[str]] = {}
    for sample in samples:
        if sample.task == "asr":
            references.setdefault(sample.source, []).append(_plain(sample, sample.reference))
    return {source: Convention.of(texts) for source, texts in references.items()}


_REASONS = (
    "Transcripts count as they are written: numbers, contractions, titles, spellings, fillers and bracketed text are "
    "not converted or deleted, because whoever reads the transcript sees them.",
    "Only the language tag that the prompt gave is taken off the front; any other tag is a wrong word.",
    "Punctuation marks are tokens of their own, and case and punctuation count where a tenth of a source's references "
    "have them: where a publisher left them out, an answer that has them is not wrong.",
    "Curly and straight quotation marks are the same, and texts are compared in NFC: neither can be heard or seen.",
    "Unspaced scripts are compared by character, but a Latin word and a number are one unit each, so that a "
    "misheard name weighs one error and not one per letter.",
    "Chinese is compared in simplified characters on both sides: the prompt does not ask for a script, and the words "
    "are the same.",
    "Translations lose tags and surrounding white space, which no reader would take for text; nothing else.",
    "An answer is a label where it is that label and nothing more, but for case and punctuation around it: "
    "`Laughter.` is Laughter, `I hear laughter` is not; anything else counts as wrong.",
)
_WHAT_COUNTS = {
    Convention(case=True, punctuation=True): "Case and punctuation count",
    Convention(case=True, punctuation=False): "Case counts, punctuation does not,",
    Convention(case=False, punctuation=True): "Punctuation counts, case does not,",
    Convention(case=False, punctuation=False): "Neither case nor punctuation counts",
}


def _sentences(conventions: Mapping[str, Convention]) -> tuple[str, ...]:
    """What counts where, one sentence for each convention that occurs."""
    sources: dict[Convention, list[str]] = {}
    for source, how in sorted(conventions.items()):
        sources.setdefault(how, []).append(source)
    return tuple(f"{_WHAT_COUNTS[how]} in {', '.join(of)}." for how, of in sources.items())


def _tokens(sample: Sample, text: str, convention: Convention) -> tuple[str, ...]:
    cut = _cut(_plain(sample, text), unspaced=sample.language in UNSPACED)
    return tuple(
        token if convention.case else token.lower()
        for token in cut
        if convention.punctuation or not _is_punctuation(token)
    )


def _plain(sample: Sample, text: str) -> str:
    """Without the prompt's tag, in NFC, with straight quotation marks; Chinese in simplified characters."""
    text = text.lstrip().removeprefix(f"<|{sample.language}|>")
    text = unicodedata.normalize("NFC", text).translate(_STRAIGHT)
    return simplified(text) if sample.language in ("zh", "yue") else text


def _cut(text: str, *, unspaced: bool) -> list[str]:
    return [text[match.start() : match.end()] for match in _TOKEN.finditer(_kinds(text, unspaced=unspaced))]


def _kinds(text: str, *, unspaced: bool) -> str:
    """One letter for each character: L, M, N, Z (white space) by its Unicode category; W in an unspaced script.

    Apostrophes, points that may stand in a number, and the signs of tags stay themselves; anything else is P.
    """
    return "".join(_kind(char, unspaced=unspaced) for char in text)


def _kind(char: str, *, unspaced: bool) -> str:
    if char.isspace():
        return "Z"
    if char in "'<|>":
        return char
    if char in ".,:":
        return "."
    category = unicodedata.category(char)[0]
    if category in "LM" and unspaced and not _is_alphabetic(char):
        return "W"
    return category if category in "LMN" else "P"


def _is_alphabetic(char: str) -> bool:
    """Latin, Greek or Cyrillic, which have spaces in an unspaced script's text too."""
    return char < "\u0530" or "\u1e00" <= char <= "\u1fff"


def _is_punctuation(token: str) -> bool:
    return len(token) == 1 and token not in _SPOKEN and unicodedata.category(token).startswith("P")


def _bare(label: str) -> str:
    edges = "".join({char for char in label if char.isspace() or unicodedata.category(char).startswith("P")})
    return unicodedata.normalize("NFC", label).strip(edges).casefold()
