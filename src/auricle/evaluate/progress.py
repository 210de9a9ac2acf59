"""How a run goes, on stderr: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

_LINE_S = 30.0
_LEAST_S = 1.0  # before a speed means something


class Progress:
    """Told of every sample; says how many are done, how fast, and how long the rest will take.

    The rest is reckoned by the length of recordings, because the longest come first.

    Args:
        console: where to; the clock is for tests.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            console=self._console,
            redirect_stdout=False,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("looking", total=None, told="")
        self._num = self._num_done = self._num_failed = 0
        self._length_s = self._done_s = self._heard_s = 0.0
        self._began = self._said = self._clock()

    @classmethod
    def silent(cls) -> "Progress":
        """Says nothing."""
        return cls(Console(quiet=True))

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def fetched(self, done: int, total: int | None) -> None:
        """So many bytes of a data set are there."""
        self._bar.update(self._task, description="fetching", completed=done, total=total)

    def hashed(self, done: int, total: int) -> None:
        """So many recordings were read for their hashes."""
        self._bar.update(self._task, description="reading recordings", completed=done, total=total)

    def begin(self, num: int, num_known: int, length_s: float) -> None:
        """The model is about to be loaded for so many samples of about so many seconds; others are answered already."""
        self._num, self._length_s = num, length_s
        self._bar.update(self._task, description="loading the model", completed=0, total=None)
        if num_known:
            self.say(f"{num_known:,} samples are answered already, {num:,} are to be asked")

    def ready(self) -> None:
        """The model is loaded, in one more process."""
        if not self._num_done:
            self._began = self._said = self._clock()
            self._bar.update(self._task, description="answering", total=self._length_s or 1.0)

    def done(self, length_s: float, heard_s: float, *, failed: bool) -> None:
        """One sample, of a length as `begin` was told; heard_s: as it was found to be."""
        self._num_done += 1
        self._num_failed += failed
        self._done_s += length_s
        self._heard_s += heard_s
        self._bar.update(self._task, completed=self._done_s, told=self._told())
        if not self._console.is_terminal and self._clock() - self._said >= _LINE_S:
            self.say(self._told())
            self._said = self._clock()

    def say(self, sentence: str) -> None:
        """A line of its own."""
        self._bar.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def _told(self) -> str:
        took_s = self._clock() - self._began
        parts = [f"{self._num_done:,} of {self._num:,} samples"]
        if self._num_failed:
            parts.append(f"{self._num_failed:,} failed")
        if took_s >= _LEAST_S and self._done_s:
            parts.append(f"{self._heard_s / took_s:.1f} s of audio per s")
            parts.append(f"{duration((self._length_s - self._done_s) * took_s / self._done_s)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """3:07, or 1:02:03."""
    minutes, second = divmod(round(max(0.0, seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
