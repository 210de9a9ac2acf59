"""When to guess at the words of speech that goes on, and from where on it must be heard again."""

from auricle import units
from auricle.assistant.live.agreement import Agreement
from auricle.assistant.live.listener import Stretch
from auricle.assistant.result import Result, segment_delta
from auricle.audio import Waveform

_NEW_SAMPLES = round(0.8 * units.SAMPLE_RATE)  # so much must have come since the last guess


class Guesser:
    """Partial words of one open stretch. Each guess hears the last segment of the one before and all that is new.

    Segments before the last one of a guess are settled, so that a guess hears a window or two, however long the
    stretch becomes.
    """

    def __init__(self) -> None:
        self._agreement = Agreement()
        self._settled = ""
        self._settled_samples = 0
        self._heard_samples = 0

    @property
    def text(self) -> str:
        """The words that were said so far."""
        return self._agreement.text

    def is_due(self, num_samples: int) -> bool:
        """Whether enough is new in a stretch that is now so long."""
        return num_samples - self._heard_samples >= _NEW_SAMPLES

    def next(self, stretch: Stretch) -> Waveform:
        """What to transcribe now."""
        samples = stretch.waveform.samples
        self._heard_samples = len(samples)
        return Waveform(samples[self._settled_samples :])

    def hear(self, result: Result) -> str:
        """The transcript of what `next` gave -> words to append to `text`."""
        settled, first = self._settled, not self._settled
        for segment in result.segments[:-1]:
            settled += segment_delta(segment, first, result.language)
            first = first and not segment.text
        last = segment_delta(result.segments[-1], first, result.language) if result.segments else ""
        delta = self._agreement.hear(settled + last)
        if len(result.segments) > 1:
            self._settled = settled
            self._settled_samples += round(result.segments[-1].start_s * units.SAMPLE_RATE)
        return delta

    def finish(self, text: str) -> str:
        """The final transcript -> words to append to `text`; none where the guesses were wrong."""
        return self._agreement.finish(text)
