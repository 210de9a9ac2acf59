"""Segments into subtitles: text cut where a reader would pause, times shared out, never overlapping."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import get_character_cell_size

from auricle.assistant.result import Segment
from auricle.errors import UserError

_ARROW = re.compile("-{2,}>")  # would be read as the line of times
_OPENERS = frozenset("([{«‹“‘（「『【《〈〔［｛")  # stay with what follows
_CLOSERS = frozenset(")]}»›”’\"'.,;:!?…·。，、；：！？）」』】》〉〕］｝ー々")  # stay with what goes before
_SENTENCE_END = re.compile(r"[.!?…。！？।؟۔][\"'’”»›)\]）」』】]*\Z")
_CLAUSE_END = re.compile(r"[,;:—–،؛，、；：][\"'’”»›)\]）」』】]*\Z")
# What a break costs, in parts of the text away from its middle: a sentence's end anywhere (at most 0.5 away) beats a
# word's in the middle; a comma beats it only where both sides are worth a subtitle of their own.
_SENTENCE_COST, _CLAUSE_COST, _WORD_COST, _INSIDE_COST = 0.0, 0.2, 0.5, 0.6
_JOINS = frozenset(("Mn", "Mc", "Me", "Cf", "Sk"))  # categories that belong to the character before
_JOINER = "\u200d"


@dataclass(frozen=True, slots=True)
class Layout:
    """How much one subtitle holds, as Whisper's --max_line_width and --max_line_count.

    max_line_width: columns of a line; a Chinese, Japanese or Korean character takes two.
    max_line_count: lines of a subtitle.

    Raises:
        UserError: a width below 2 or a count below 1.
    """

    max_line_width: int = 42
    max_line_count: int = 2

    def __post_init__(self) -> None:
        if self.max_line_width < 2:
            raise UserError(
                f"max_line_width must be at least 2: got {self.max_line_width}; a wide character takes two columns"
            )
        if self.max_line_count < 1:
            raise UserError(f"max_line_count must be at least 1: got {self.max_line_count}")


@dataclass(frozen=True, slots=True)
class Cue:
    """One text on the screen, from a millisecond to a later one; its lines are never blank."""

    start_ms: int
    end_ms: int
    text: str


def one_line(text: str) -> str:
    """Text with every run of white space and control characters as one space, and none at the ends."""
    return " ".join("".join(" " if unicodedata.category(char) == "Cc" else char for char in text).split())


def whole_cues(segments: Sequence[Segment]) -> list[Cue]:
    """One cue of one line per segment that says something."""
    return list(_in_sequence([(segment.start_s, segment.end_s, [line]) for segment, line in _spoken(segments)]))


def cut_cues(segments: Sequence[Segment], layout: Layout) -> list[Cue]:
    """Cues of at most `layout`'s size.

    A segment's own start and end are real cuts of the recording. Where its text is too long for one cue it is divided
    at the ends of sentences, else at commas, else between words, and the segment's time is shared out in proportion
    to characters: those inner times are estimates.
    """
    timed = []
    for segment, line in _spoken(segments):
        parts = _divide(_ARROW.sub("->", line), layout)
        texts = ["\n".join(_wrap(part, layout.max_line_width)) for part in parts]
        timed.append((segment.start_s, segment.end_s, texts))
    return list(_in_sequence(timed))


def _spoken(segments: Sequence[Segment]) -> Iterator[tuple[Segment, str]]:
    return ((segment, line) for segment in segments if (line := one_line(segment.text)))


def _in_sequence(timed: list[tuple[float, float, list[str]]]) -> Iterator[Cue]:
    """Each (start_s, end_s, texts) as cues of at least 1 ms that never begin before the one before has ended."""
    free_ms = 0
    for start_s, end_s, texts in timed:
        start_ms = max(round(start_s * 1000), free_ms)
        length_ms = max(round(end_s * 1000) - start_ms, 0)
        total = sum(map(len, texts))
        said, free_ms = 0, start_ms
        for text in texts:
            said += len(text)
            begin_ms = free_ms
            free_ms = max(start_ms + round(length_ms * said / total), begin_ms + 1)
            yield Cue(begin_ms, free_ms, text)


def _divide(text: str, layout: Layout) -> Iterator[str]:
    """Parts that fit, each cut in two where it costs least until it does."""
    columns = _columns(text)
    if (
        columns <= layout.max_line_width * layout.max_line_count
        and len(_wrap(text, layout.max_line_width)) <= layout.max_line_count
    ):
        yield text
        return
    middle = len(text) / 2
    place = min(
        _breaks(text),
        key=lambda place: _cost(text, place) + abs(place - middle) / len(text),
        default=_prefix(text, max(layout.max_line_width, columns // 2)),
    )
    yield from _divide(text[:place].rstrip(), layout)
    yield from _divide(text[place:].lstrip(), layout)


def _wrap(text: str, width: int) -> list[str]:
    """Lines as full as they may be; a word longer than a line is cut."""
    lines = []
    while _columns(text) > width:
        longest = _prefix(text, width)
        near = text[: longest + 2]  # a space right after the last character that fits is a break, too
        fitting = (place for place in _breaks(near) if _columns(text[:place].rstrip()) <= width)
        end = max(fitting, default=longest)
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*lines, text]


def _columns(text: str) -> int:
    return sum(map(get_character_cell_size, text))


def _breaks(text: str) -> Iterator[int]:
    """Where a line may end: after a space, and beside a character of a script without spaces."""
    for place in range(1, len(text)):
        before, after = text[place - 1], text[place]
        if before == " " or (
            after != " "
            and (_unspaced(before) or _unspaced(after))
            and before not in _OPENERS
            and after not in _CLOSERS
            and before != _JOINER
            and unicodedata.category(after) not in _JOINS
        ):
            yield place


def _unspaced(char: str) -> bool:
    """Wide, and not Korean, which writes spaces between words."""
    return get_character_cell_size(char) == 2 and not unicodedata.name(char, "").startswith("HANGUL")


def _cost(text: str, place: int) -> float:
    said = text[max(place - 9, 0) : place].rstrip()
    if _SENTENCE_END.search(said):
        return _SENTENCE_COST
    if _CLAUSE_END.search(said):
        return _CLAUSE_COST
    return _WORD_COST if text[place - 1] == " " else _INSIDE_COST


def _prefix(text: str, width: int) -> int:
    """How many characters fill `width` columns, at least one; marks take no column and stay with theirs."""
    columns, end = 0, 0
    while end < len(text) and (columns := columns + get_character_cell_size(text[end])) <= width:
        end += 1
    return max(end, 1)
