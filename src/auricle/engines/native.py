"""Our own model on one device: batches of requests, and requests of many clients as they come."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from auricle import units
from auricle.audio import Mel, Waveform, cut_windows, log_mel
from auricle.conversation import Answer, RawPrompt, Sampling
from auricle.engines.caches import PrefixCache, RecordingCache
from auricle.engines.interface import Request
from auricle.engines.listening import Asked, Listener, token_bytes
from auricle.engines.room import ROW_TOKENS, Room, batches
from auricle.engines.ticket import Ticket
from auricle.engines.writing import Writer, refuse_schema, report_tokens
from auricle.errors import UserError
from auricle.generate import (
    Generated,
    RunningBatch,
    Said,
    StopStream,
    branch,
    cut_at_stop,
    generate,
    read,
    score,
    stream,
)
from auricle.model import ModelInput
from auricle.prepare import Prepared, collate, render, render_raw
from auricle.weights import Checkpoint

_READ_AHEAD = 8  # times the batch size: so many requests are read, so that those of like length meet
_REFILL = 4  # a running batch is joined by a quarter of its rows at least: prompts are read faster together
_LEAST_LENGTH = 0.75  # of the longest prompt that others are read with, padded to its length
_READ_TOKENS = 400  # of prompts between two steps, and one prompt at least: the rows that run wait for it
_RECORDINGS_BYTES = 128 * 2**20

_LOG = logging.getLogger(__name__)


class NativeEngine:
    """Batches of requests through a loaded checkpoint."""

    def __init__(self, checkpoint: Checkpoint, *, batch_size: int = 8) -> None:
        self.checkpoint = checkpoint
        self.batch_size = batch_size
        self.defaults = checkpoint.defaults
        self._device = next(checkpoint.model.parameters()).device

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """One answer per request, in their order.

        Eight batches of requests are read at a time and answered longest first, as many at once as fit the memory of
        `batch_size` recordings of 30 s; where answers end, the next requests join those that go on. A sampled answer
        depends on the seed and on its request's place among the requests, not on the batch.

        Raises:
            UserError: a request cannot be answered; the answers to those before it come first.
        """
        refuse_schema(sampling, "native")
        requests, num_before = iter(requests), 0
        while True:
            pool, refused = self._read(requests, sampling)
            yield from self._answer(pool, sampling, num_before)
            if refused is not None:
                raise refused
            if not pool:
                return
            num_before += len(pool)

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        """The pieces of one answer, each as soon as it is certain; beam search gives the whole answer at the end."""
        if sampling.num_beams > 1:
            yield from filter(None, (answer.text for answer in self.generate([request], sampling)))
            return
        refuse_schema(sampling, "native")
        checkpoint = self.checkpoint
        inputs = self._collate([self._prepare(request, sampling.max_new_tokens)])
        text = StopStream(checkpoint.tokenizer, sampling.stop)
        steps = stream(checkpoint.model, inputs, sampling, stop_ids=checkpoint.stop_ids, tokenizer=checkpoint.tokenizer)
        for [token] in steps:
            if token is not None and token.id not in checkpoint.stop_ids and (piece := text.push(token.id)):
                yield piece
        if piece := text.finish():
            yield piece

    def branch(self, request: Request, sampling: Sampling, num: int) -> list[Answer]:
        """So many answers to one request, which is heard and read once; the same as `generate` to `num` copies of it.

        Raises:
            UserError: the request cannot be answered.
        """
        refuse_schema(sampling, "native")
        checkpoint = self.checkpoint
        item = self._prepare(request, sampling.max_new_tokens)
        rows = branch(
            checkpoint.model,
            self._collate([item]),
            sampling,
            num,
            stop_ids=checkpoint.stop_ids,
            tokenizer=checkpoint.tokenizer,
        )
        return [self._to_answer(item, row, sampling) for row in rows]

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """The log-probability of each text as what the model says next; the end of the answer is not part of it."""
        if not continuations:
            return []
        checkpoint = self.checkpoint
        ids = [checkpoint.tokenizer.encode(text) for text in continuations]
        longest = max(map(len, ids))
        item = self._prepare(request, longest)
        inputs = self._collate([item])
        num_at_once = max(1, self.batch_size * ROW_TOKENS // (len(item.prompt.ids) + longest))
        return score(checkpoint.model, inputs, ids, batch_size=num_at_once)

    def _read(self, requests: Iterator[Request], sampling: Sampling) -> tuple[list[Prepared], UserError | None]:
        """The next requests, and the error of the one after them, if that is why they end."""
        pool: list[Prepared] = []
        try:
            for request in islice(requests, _READ_AHEAD * self.batch_size):
                pool.append(self._prepare(request, sampling.max_new_tokens))
        except UserError as error:
            return pool, error
        return pool, None

    def _answer(self, pool: list[Prepared], sampling: Sampling, num_before: int) -> Iterator[Answer]:
        """Answers in the pool's order, each as soon as it and all before it are ready."""
        ready: dict[int, Answer] = {}
        num_given = 0
        search = self._run if sampling.num_beams == 1 else self._search
        for place, row in search(pool, sampling, num_before):
            ready[place] = self._to_answer(pool[place], row, sampling)
            while num_given in ready:
                yield ready.pop(num_given)
                num_given += 1

    def _run(self, pool: list[Prepared], sampling: Sampling, num_before: int) -> Iterator[tuple[int, Generated]]:
        """What is said to each, with its place in the pool, as it ends; the longest join first."""
        checkpoint, room = self.checkpoint, Room.of(self.batch_size)
        batch = RunningBatch(checkpoint.model, stop_ids=checkpoint.stop_ids, tokenizer=checkpoint.tokenizer)
        length = [len(item.prompt.ids) for item in pool]
        waiting = sorted(range(len(pool)), key=lambda place: -length[place])
        running: dict[int, tuple[int, Generated]] = {}
        while waiting or running:
            num = room.count(batch.lengths, (length[place] for place in waiting))
            if num and (num == len(waiting) or num * _REFILL >= len(running)):
                least = length[waiting[0]] * _LEAST_LENGTH
                num = sum(length[place] >= least for place in waiting[:num])
                places, waiting = waiting[:num], waiting[num:]
                prompts = read(checkpoint.model, self._collate([pool[place] for place in places]))
                said = batch.join(prompts, sampling, [num_before + place for place in places])
                del prompts  # the scores of a whole vocabulary for every prompt
                running |= {one.row: (place, Generated()) for one, place in zip(said, places, strict=True)}
            else:
                said = batch.step()
            for row, token, last in said:
                running[row][1].add(token, checkpoint.stop_ids)
                if last:
                    yield running.pop(row)

    def _search(self, pool: list[Prepared], sampling: Sampling, num_before: int) -> Iterator[tuple[int, Generated]]:
        """The same through beam search, whose prompts begin and end together."""
        checkpoint, room = self.checkpoint, Room.of(self.batch_size)
        for places in batches(
            [len(item.prompt.ids) for item in pool],
            num_tokens=room.num_tokens // sampling.num_beams,
            num_rows=room.num_rows // sampling.num_beams,
        ):
            inputs = self._collate([pool[place] for place in places])
            rows = generate(
                checkpoint.model, inputs, sampling, stop_ids=checkpoint.stop_ids, tokenizer=checkpoint.tokenizer
            )
            yield from zip(places, rows, strict=True)

    def _collate(self, items: list[Prepared]) -> ModelInput:
        return collate(items, pad_id=self.checkpoint.pad_id).to(self._device)

    def _to_answer(self, item: Prepared, row: Generated, sampling: Sampling) -> Answer:
        text = cut_at_stop(self.checkpoint.tokenizer.decode(row.ids), sampling.stop)
        tokens = () if sampling.logprobs is None else report_tokens(row, self.checkpoint.tokenizer)
        return Answer(text, len(item.prompt.ids), len(row.tokens), row.finish_reason, row.logprob, tokens)

    def _prepare(self, request: Request, num_new: int) -> Prepared:
        config, tokenizer = self.checkpoint.model.config, self.checkpoint.tokenizer
        heard = [self._hear(audio, config.audio.num_mel_bins) for audio in request.audios]
        tokens = [sum(units.tokens_from_frames(mel.num_frames) for mel in mels) for mels in heard]
        if isinstance(request.prompt, RawPrompt):
            prompt = render_raw(request.prompt, tokens, tokenizer)
        else:
            prompt = render(request.prompt, tokens, tokenizer, open_turn=True)
        prompt.require_room(config.text.max_tokens, num_new=num_new)
        return Prepared(prompt, tuple(mel for mels in heard for mel in mels))

    @staticmethod
    def _hear(audio: Waveform, num_mel_bins: int) -> list[Mel]:
        return [log_mel(window, num_mel_bins=num_mel_bins) for window in cut_windows(audio)]


@dataclass(frozen=True, slots=True)
class _Waiting:
    asked: Asked
    sampling: Sampling
    index: int
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class _Running:
    asked: Asked
    ticket: Ticket
    writer: Writer
    said: list[int] = field(default_factory=list)


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
        self._waiting: deque[_Waiting] = deque()
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
        """It joins as soon as there is room, in the order of arrival."""
        self._waiting.append(_Waiting(prepared, sampling, index, ticket))

    def step(self) -> bool:
        """Those nobody waits for leave, those that wait join while there is room, and every row says a token.

        What fails while one prompt is read costs that request alone; what fails later costs all that run.
        """
        try:
            self._drop_cancelled()
            self._admit()
            self._hear(self._batch.step())
        except Exception as error:
            _LOG.exception("a step failed; the requests that ran are given up")
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
        """As the engine."""
        return self._engine.score(request, continuations)

    def _start_anew(self) -> None:
        checkpoint = self._engine.checkpoint
        self._batch = RunningBatch(checkpoint.model, stop_ids=checkpoint.stop_ids, tokenizer=checkpoint.tokenizer)
        self._running: dict[int, _Running] = {}

    def _drop_cancelled(self) -> None:
        if any(waiting.ticket.cancelled for waiting in self._waiting):
            self._waiting = deque(waiting for waiting in self._waiting if not waiting.ticket.cancelled)
        for row in [row for row, running in self._running.items() if running.ticket.cancelled]:
            self._leave(row)
            self._batch.drop([row])

    def _admit(self) -> None:
        num_read = 0
        while self._waiting and num_read < _READ_TOKENS:
            if not self._room.count(self._batch.lengths, [len(self._waiting[0].asked.prompt.ids)]):
                return
            num_read += self._join(self._waiting.popleft())

    def _join(self, waiting: _Waiting) -> int:
        """Read a prompt and let it run -> how many tokens were read."""
        asked, sampling, checkpoint = waiting.asked, waiting.sampling, self._engine.checkpoint
        try:
            prompt, num_read = self._listener.read(asked)
        except Exception as error:
            _LOG.exception("a prompt could not be read")
            waiting.ticket.fail(error.with_traceback(None))
            return 0
        row = self._batch.num_joined
        writer = Writer(checkpoint.tokenizer, checkpoint.stop_ids, sampling)
        self._running[row] = _Running(asked, waiting.ticket, writer)
        self._hear(self._batch.join(prompt, sampling, [waiting.index]))
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
