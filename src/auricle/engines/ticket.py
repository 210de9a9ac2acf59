"""One request on its way: an engine's thread puts pieces in, another thread takes them out, either may end it."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue

from auricle.conversation import Answer, TokenLogprob


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer that is certain; `tokens` are those that made it, where log-probabilities were asked for."""

    text: str
    tokens: tuple[TokenLogprob, ...] = ()


class GivenUpError(Exception):
    """Nobody waits for this answer any more."""


class Ticket:
    """The place where a request and its answer meet. One reader; any thread may cancel."""

    def __init__(self) -> None:
        self._inbox: SimpleQueue[Piece | Answer | Exception] = SimpleQueue()
        self._cancelled = threading.Event()
        self._done = threading.Event()
        self._end: Answer | Exception | None = None  # what the reader found last

    # The engine's side.

    def push(self, piece: Piece) -> None:
        """One more part of the answer."""
        self._inbox.put(piece)

    def finish(self, answer: Answer) -> None:
        """The whole of it; nothing follows."""
        self._done.set()
        self._inbox.put(answer)

    def fail(self, error: Exception) -> None:
        """There will be no answer; the reader gets the error raised. After the end it changes nothing."""
        if not self.done:
            self._done.set()
            self._inbox.put(error)

    @property
    def cancelled(self) -> bool:
        """Whether the work may be dropped: engines look before every step."""
        return self._cancelled.is_set()

    @property
    def done(self) -> bool:
        """Whether the engine has finished or failed it."""
        return self._done.is_set()

    # The reader's side.

    def pieces(self) -> Iterator[Piece]:
        """The parts of the answer as they come, joined its text; `answer` is there after the last.

        Raises:
            GivenUpError: it was cancelled meanwhile.
        """
        while self._end is None:
            got = self._inbox.get()
            if self.cancelled:
                raise GivenUpError
            if isinstance(got, Piece):
                yield got
            else:
                self._end = got
        if isinstance(self._end, Exception):
            raise self._end

    def answer(self) -> Answer:
        """The whole answer, once it is there.

        Raises:
            GivenUpError: it was cancelled meanwhile.
        """
        for _ in self.pieces():
            pass
        if not isinstance(self._end, Answer):  # `pieces` would have raised
            raise GivenUpError
        return self._end

    def cancel(self) -> None:
        """Nobody waits any more; a reader that waits is told so. After the end it changes nothing."""
        self._cancelled.set()
        self._inbox.put(GivenUpError())  # wakes the reader
