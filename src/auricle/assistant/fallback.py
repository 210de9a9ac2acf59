"""A window that came out as a loop, or as guesswork, is said again with more freedom, as Whisper does.

Whisper's rule and its values (openai/whisper, transcribe.py): temperatures 0 to 1 in steps of 0.2, a text that zlib
shrinks more than 2.4 times is a loop. Its bound on the log-probability is off here: it was set for Whisper's own.
"""

import zlib
from dataclasses import dataclass, replace

from auricle.assistant.loops import drop_loop
from auricle.conversation import Answer, Sampling
from auricle.engines import Engine, Request
from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class Fallback:
    """When a window is tried again, and at which temperatures.

    max_compression: the text's bytes over their zlib-compressed size; above it the text repeats itself.
    min_logprob: average log-probability per token; below it the text is guessed. None accepts any.
    """

    temperatures: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
    max_compression: float = 2.4
    min_logprob: float | None = None

    def __post_init__(self) -> None:
        if any(temperature <= 0 for temperature in self.temperatures):
            raise UserError(f"fallback temperatures must be above 0: got {self.temperatures}; the first try is greedy")

    def accepts(self, answer: Answer) -> bool:
        """Whether this answer may stay as it is."""
        if compression_ratio(answer.text) > self.max_compression or loops(answer):
            return False
        return self.min_logprob is None or mean_logprob(answer) >= self.min_logprob


NO_FALLBACK = Fallback(temperatures=())


@dataclass(frozen=True, slots=True)
class Attempt:
    """An answer and the temperature that gave it."""

    answer: Answer
    temperature: float


def compression_ratio(text: str) -> float:
    """How many times zlib shrinks the text; about 1.5 for a sentence, above 2.4 for a loop. 1 for an empty text."""
    data = text.encode(errors="surrogatepass")  # an answer may hold half a surrogate pair
    return len(data) / len(zlib.compress(data)) if data else 1.0


def mean_logprob(answer: Answer) -> float:
    """Log-probability per generated token, the one that ended the answer included."""
    return answer.logprob / (answer.num_tokens + (answer.finish_reason == "stop"))


def loops(answer: Answer) -> bool:
    """Whether the answer ran into its limit saying one phrase over and over."""
    return answer.finish_reason == "length" and drop_loop(answer.text) != answer.text


def try_again(engine: Engine, request: Request, answer: Answer, sampling: Sampling, fallback: Fallback) -> Attempt:
    """The first answer to a request where it is accepted; else it is tried at each temperature above, until one is.

    Where none is, the likeliest try without a loop stays; where all loop, the first. Retries draw from a seed of
    their own, so that the same recording gives the same text.
    """
    attempts = [Attempt(answer, sampling.temperature)]
    seed = 0 if sampling.seed is None else sampling.seed
    for temperature in (higher for higher in fallback.temperatures if higher > sampling.temperature):
        if fallback.accepts(attempts[-1].answer):
            break
        hotter = replace(sampling, temperature=temperature, num_beams=1, length_penalty=1.0, seed=seed)
        [again] = engine.generate([request], hotter)
        attempts.append(Attempt(again, temperature))
    return _best(attempts, fallback)


def _best(attempts: list[Attempt], fallback: Fallback) -> Attempt:
    if fallback.accepts(attempts[-1].answer):
        return attempts[-1]
    bound = replace(fallback, min_logprob=None)
    whole = [attempt for attempt in attempts if bound.accepts(attempt.answer)]
    return max(whole, key=lambda attempt: mean_logprob(attempt.answer)) if whole else attempts[0]
