"""Our own model for many clients: their requests share one running batch."""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from auricle.conversation import Sampling
from auricle.engines.caches import PrefixCache, RecordingCache
from auricle.engines.interface import Request
from auricle.engines.listening import Asked, Listener, token_bytes
from auricle.engines.native import NativeEngine
from auricle.engines.room import ROW_TOKENS, Room
from auricle.engines.ticket import Ticket
from auricle.engines.writing import Writer, refuse_schema
from auricle.errors import UserError
from auricle.generate import RunningBatch, Said

_READ_TOKENS = 400  # of prompts between two steps, and one prompt at least: the rows that run wait for it
_MOST_PASSED = 16  # requests that join before one that came earlier and does not fit
_RECORDINGS_BYTES = 128 * 2**20

_LOG = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Row:
    """A request that waits or runs.

    said: its answer so far; one that was put back goes on from there.
    num_passed: later ones that joined while it waited for their room.
    """

    asked: Asked
    sampling: Sampling
    index: int
    ticket: Ticket
    writer: Writer
    said: list[int] = field(default_factory=list)
    num_passed: int = 0

    @property
    def num_tokens(self) -> int:
        """Of the prompt and the answer so far: what the model reads of it until its next token."""
        return len(self.asked.prompt.ids) + len(self.said)


class NativeStepper:
    """The engine's model for many clients at once: requests join the batch as they come, and leave as they end.

    Args:
        engine: whose checkpoint and batch size are taken.
        recordings_bytes: for the audio tokens of recordings that were heard lately.
        prefixes_bytes: for keys and values of conversations that were read lately; unless given, those of half as
            many tokens as run at once.
    """

    def __init__(
        self, engine: NativeEngine, *, recordings_bytes: int = _RECORDINGS_BYTES, prefixes_bytes: int | None = None
    ) -> None:
        self.defaults = engine.defaults
        self.batch_size = engine.batch_size
        self.max_model_len = engine.checkpoint.model.config.text.max_tokens
        self._engine = engine
        self._room = Room.of(engine.batch_size)
        if prefixes_bytes is None:
            prefixes_bytes = self._room.num_tokens // 2 * token_bytes(engine.checkpoint.model)
        self._recordings = RecordingCache(recordings_bytes)
        self._prefixes = PrefixCache(prefixes_bytes)
        self._listener = Listener(engine.checkpoint, self._recordings, self._prefixes)
        self._waiting: deque[_Row] = deque()
        self.num_failed = 0  # steps and prompts, since a step read prompts or said tokens and nothing failed
        self.abandon()

    @property
    def num_running(self) -> int:
        """Requests that are being answered."""
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        """Requests that wait for room."""
        return len(self._waiting)

    def cache_stats(self) -> dict[str, float]:
        """Counters of both caches, and the size of the running rows' keys and values."""
        recordings, prefixes = self._recordings, self._prefixes
        return {
            "recording_hits": recordings.hits,
            "recording_misses": recordings.misses,
            "recording_bytes": recordings.num_bytes,
            "prefix_hits": prefixes.hits,
            "prefix_misses": prefixes.misses,
            "prefix_tokens": prefixes.num_tokens,
            "prefix_bytes": prefixes.num_bytes,
            "running_bytes": self._batch.num_bytes,
        }

    def prepare(self, request: Request, sampling: Sampling) -> Asked:
        """All that can be done in the caller's thread.

        Raises:
            UserError: it cannot be answered.
        """
        refuse_schema(sampling, "native")
        if sampling.num_beams > 1:
            raise UserError(f"beam search cannot share a running batch: got num_beams {sampling.num_beams}, expected 1")
        return self._listener.prepare(request, sampling)

    def add(self, prepared: Asked, sampling: Sampling, index: int, ticket: Ticket) -> None:
        """It joins as soon as there is room, in the order of arrival, but for a few that fit while an earlier one
        does not.
        """
        writer = Writer(self._engine.checkpoint.tokenizer, self._engine.checkpoint.stop_ids, sampling)
        self._waiting.append(_Row(prepared, sampling, index, ticket, writer))

    def step(self) -> bool:
        """Those nobody waits for leave, those that wait join while there is room, and every row says a token.

        What fails while one prompt is read costs that request alone; what fails later costs all that run.
        """
        num_failed, num_joined = self.num_failed, self._batch.num_joined
        try:
            self._drop_cancelled()
            self._put_back()
            self._admit()
            said = self._batch.step()
            self._hear(said)
            if self.num_failed == num_failed and (said or self._batch.num_joined > num_joined):
                self.num_failed = 0
        except Exception as error:
            _LOG.exception("a step failed; the requests that ran are given up")
            self.num_failed += 1
            tickets = [running.ticket for running in self._running.values()]
            self._start_anew()
            for ticket in tickets:
                ticket.fail(error.with_traceback(None))  # which would keep the step's tensors
        return bool(self._running or self._waiting)

    def abandon(self) -> None:
        """Forget all requests."""
        self._waiting.clear()
        self._start_anew()

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """As the engine, from where the longest known beginning ends; what is heard is remembered."""
        if not continuations:
            return []
        ids = [self._engine.checkpoint.tokenizer.encode(text) for text in continuations]
        asked = self._listener.prepare(request, Sampling(max_new_tokens=max(1, *map(len, ids))))
        prompt, _ = self._listener.read(asked)
        return self._engine.score_read(prompt, ids)

    def _start_anew(self) -> None:
        checkpoint = self._engine.checkpoint
        self._batch = RunningBatch(
            checkpoint.model, stop_ids=checkpoint.stop_ids, tokenizer=checkpoint.tokenizer, apart=ROW_TOKENS
        )
        self._running: dict[int, _Row] = {}  # in the order they joined

    def _drop_cancelled(self) -> None:
        if any(waiting.ticket.cancelled for waiting in self._waiting):
            self._waiting = deque(waiting for waiting in self._waiting if not waiting.ticket.cancelled)
        for row in [row for row, running in self._running.items() if running.ticket.cancelled]:
            self._leave(row)
            self._batch.drop([row])

    def _put_back(self) -> None:
        """Rows that grew beyond the room wait again, before all others."""
        while (place := self._room.too_many(self._lengths())) is not None:
            number = list(self._running)[place]
            self._waiting.appendleft(self._running[number])
            self._leave(number)
            self._batch.drop([number])

    def _admit(self) -> None:
        """Those that fit join, the earliest first, until enough is read.

        Some pass one that does not fit. Short ones may always pass a long one that another long one holds up.
        """
        num_read, long_waits, passed = 0, False, list[_Row]()
        for row in list(self._waiting):
            if num_read >= _READ_TOKENS or any(early.num_passed >= _MOST_PASSED for early in passed):
                return
            running, is_long = self._lengths(), row.num_tokens > ROW_TOKENS
            if not (is_long and long_waits) and self._room.fits(running, row.num_tokens):
                self._waiting.remove(row)
                num_read += self._join(row)
                for early in passed:
                    early.num_passed += 1
            elif not is_long or self._room.fits([num for num in running if num > ROW_TOKENS], row.num_tokens):
                passed.append(row)
            long_waits |= is_long and row in self._waiting

    def _lengths(self) -> list[int]:
        return [row.num_tokens for row in self._running.values()]

    def _join(self, row: _Row) -> int:
        """Read a prompt and let it run -> how many tokens were read."""
        try:
            prompt, num_read = self._listener.read(row.asked, row.said)
        except Exception as error:
            _LOG.exception("a prompt could not be read")
            self.num_failed += 1
            row.ticket.fail(error.with_traceback(None))
            return 0
        self._running[self._batch.num_joined] = row
        self._hear(self._batch.join(prompt, row.sampling, [row.index], said=row.said))
        return num_read

    def _hear(self, said: list[Said]) -> None:
        """Give out what became certain, and the answers that ended."""
        for row, token, last in said:
            running = self._running[row]
            running.said.append(token.id)
            piece = running.writer.write(token)
            if piece is not None:
                running.ticket.push(piece)
            if last:
                running.ticket.finish(running.writer.answer(len(running.asked.prompt.ids)))
                self._leave(row)

    def _leave(self, row: int) -> None:
        running = self._running.pop(row)
        self._listener.remember(running.asked, running.said, self._batch, row)
