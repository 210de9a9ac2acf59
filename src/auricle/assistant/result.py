"""What the facade answers with: plain types, easy to print and to write to files."""

from dataclasses import dataclass

from auricle.conversation import FinishReason


@dataclass(frozen=True, slots=True)
class Segment:
    """What was said between two cuts of a recording: one window of at most 30 s.

    start_s, end_s: seconds from the recording's start; both are real cuts, made where it is quiet.
    logprob: the mean log-probability of the tokens (natural log).
    temperature: at which this text was said; above 0 where a colder attempt failed.
    compression_ratio: how well zlib packs the text; high where it repeats itself.
    """

    start_s: float
    end_s: float
    text: str
    logprob: float
    num_tokens: int
    temperature: float
    compression_ratio: float


@dataclass(frozen=True, slots=True)
class Result:
    """What the model says about one recording, or to a question without one (path None, 0 s).

    finish_reason: "length" where any part of the answer reached max_new_tokens.
    language_probability: how sure the model was of a language that it named itself; None where it was told.
    segments: a transcript's parts in order; empty for an answer to a question.
    """

    path: str | None
    text: str
    duration_s: float
    num_tokens: int
    finish_reason: FinishReason
    language: str | None = None
    language_probability: float | None = None
    segments: tuple[Segment, ...] = ()
