"""What the facade answers with: plain types, easy to print and to write to files."""

from dataclasses import dataclass

from auricle.assistant.languages import UNSPACED
from auricle.conversation import FinishReason, TokenLogprob


@dataclass(frozen=True, slots=True)
class Segment:
    """What was said in one stretch of speech, or between two cuts of a recording: one window of at most 30 s.

    start_s, end_s: seconds from the recording's start, where speech begins and ends; or a cut, made where it is quiet.
    logprob: the mean log-probability of the tokens (natural log).
    temperature: at which this text was said; above 0 where a colder attempt failed.
    compression_ratio: how well zlib packs the text; high where it repeats itself.
    speech_probability: the mean of the detector's probabilities from start to end; None where it was not asked.
    tokens: those that the model said, a tag or a loop that `text` leaves out among them; empty unless
        `Sampling.logprobs` asks for them.
    """

    start_s: float
    end_s: float
    text: str
    logprob: float
    num_tokens: int
    temperature: float
    compression_ratio: float
    speech_probability: float | None = None
    tokens: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What the model says about one recording, or to a question without one (path None, 0 s).

    finish_reason: "length" where any part of the answer reached max_new_tokens.
    language_probability: how sure the model was of a language that it named itself; None where it was told.
    segments: a transcript's parts in order; empty for an answer to a question, and where nobody speaks.
    """

    path: str | None
    text: str
    duration_s: float
    num_tokens: int
    finish_reason: FinishReason
    language: str | None = None
    language_probability: float | None = None
    segments: tuple[Segment, ...] = ()


def segment_delta(segment: Segment, is_first: bool, language: str | None) -> str:
    """What a segment adds to the transcript; all of a recording's, joined, are its `Result.text`.

    Args:
        segment: the next in order; one that says nothing adds nothing.
        is_first: whether none before it said anything.
        language: an ISO code; some are written without spaces.
    """
    joint = "" if is_first or not segment.text or language in UNSPACED else " "
    return joint + segment.text
