"""What else there is to say about an answer than how wrong it is: empty, runaway, cut off, unparsed, failed."""

from typing import Literal, get_args

from auricle.assistant.fallback import NO_FALLBACK, compression_ratio
from auricle.assistant.languages import UNSPACED
from auricle.assistant.loops import drop_loop
from auricle.evaluate.normalise.official import official_tokens
from auricle.evaluate.sample import Answered

Flag = Literal["empty", "runaway", "cut off", "unparsed", "failed"]
FLAGS: tuple[Flag, ...] = get_args(Flag)  # in the order in which they are shown
_WORDS_PER_S = 8.0  # an auctioneer's pace; conversation has 2 to 4
_CHARACTERS_PER_S = 15.0  # of an unspaced script; newsreaders say 5, the fastest speakers 10
_ALLOWANCE = 5  # units that even the shortest recording may hold


def flags_of(answered: Answered, *, label_expected: bool, label: str | None) -> tuple[Flag, ...]:
    """What strikes about an answer; only `unparsed` depends on the mode.

    failed: there is no answer at all; then nothing else is said.
    empty: no word is left of it after the official mode's normalisation (other tasks than transcripts: no character).
    runaway: it repeats itself, or is far too long for its recording; see `_is_runaway`.
    cut off: the limit of new tokens ended it.
    unparsed: a label was expected and the mode's `label` found none in it.
    """
    if answered.failure is not None:
        return ("failed",)
    num_units = len(_units(answered))
    holds: dict[Flag, bool] = {
        "empty": num_units == 0,
        "runaway": _is_runaway(answered, num_units),
        "cut off": answered.finish_reason == "length",
        "unparsed": label_expected and label is None,
    }
    return tuple(flag for flag, applies in holds.items() if applies)


def count_name(flag: Flag) -> str:
    """What `RowScores.counts` calls the number of answers with a flag: `cut_off`."""
    return flag.replace(" ", "_")


def _is_runaway(answered: Answered, num_units: int) -> bool:
    """Whether the model went on where nobody did. Any one of three is enough.

    It was cut off while its end said one phrase at least four times (`drop_loop`). zlib shrinks it more than 2.4
    times, Whisper's mark of a loop, and its reference less: what was said over and over may be written so. Or, in a
    transcript or translation, it holds more than 5 words and 8 for each second of its recording (in zh, yue, ja and
    th: 5 characters and 15 for each second), twice the pace of fast speech; not judged where the duration is unknown.
    """
    if answered.finish_reason == "length" and drop_loop(answered.text) != answered.text:
        return True
    bound = NO_FALLBACK.max_compression
    if compression_ratio(answered.text) > bound >= compression_ratio(answered.sample.reference):
        return True
    sample = answered.sample
    if sample.task not in ("asr", "translation") or sample.duration_s is None:
        return False
    written = sample.target_language if sample.task == "translation" else sample.language
    pace = _CHARACTERS_PER_S if written in UNSPACED else _WORDS_PER_S
    return num_units > _ALLOWANCE + pace * sample.duration_s


def _units(answered: Answered) -> tuple[str, ...]:
    """Words of the answer, or characters of an unspaced script, tags and punctuation apart in a transcript."""
    sample = answered.sample
    if sample.task == "asr":
        words = official_tokens(answered.text, sample.language)
        return tuple("".join(words)) if sample.language in UNSPACED else words
    words = tuple(answered.text.split())
    return tuple("".join(words)) if sample.target_language in UNSPACED else words
