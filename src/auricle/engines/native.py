"""Our own model on one device."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from auricle import units
from auricle.audio import Mel, Waveform, cut_windows, log_mel
from auricle.conversation import Answer, RawPrompt, Sampling
from auricle.engines.interface import Request
from auricle.engines.ticket import Piece, Ticket
from auricle.engines.writing import report_tokens
from auricle.errors import UserError
from auricle.generate import Generated, StopStream, branch, cut_at_stop, generate, score, stream
from auricle.prepare import Prepared, collate, render, render_raw
from auricle.weights import Checkpoint

_ROW_TOKENS = 800  # a recording of 30 s (750 tokens) and the text around it
_READ_AHEAD = 8  # times the batch size: so many requests are read, so that those of like length meet
_MOST_ROWS = 8  # times the batch size: so many short requests may share a batch


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
        `batch_size` recordings of 30 s. A sampled answer depends on the seed and on its request's place among the
        requests, not on the batch.

        Raises:
            UserError: a request cannot be answered; the answers to those before it come first.
        """
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
        checkpoint = self.checkpoint
        inputs = collate([self._prepare(request, sampling.max_new_tokens)], pad_id=checkpoint.pad_id).to(self._device)
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
        checkpoint = self.checkpoint
        item = self._prepare(request, sampling.max_new_tokens)
        rows = branch(
            checkpoint.model,
            collate([item], pad_id=checkpoint.pad_id).to(self._device),
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
        inputs = collate([item], pad_id=checkpoint.pad_id).to(self._device)
        num_at_once = max(1, self.batch_size * _ROW_TOKENS // (len(item.prompt.ids) + longest))
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
        for places in batches(
            [len(item.prompt.ids) for item in pool],
            num_tokens=self.batch_size * _ROW_TOKENS // sampling.num_beams,
            num_rows=self.batch_size * _MOST_ROWS // sampling.num_beams,
        ):
            indices = [num_before + place for place in places]
            ready |= zip(places, self._answer_batch([pool[place] for place in places], sampling, indices), strict=True)
            while num_given in ready:
                yield ready.pop(num_given)
                num_given += 1

    def _answer_batch(self, batch: list[Prepared], sampling: Sampling, indices: list[int]) -> list[Answer]:
        checkpoint = self.checkpoint
        rows = generate(
            checkpoint.model,
            collate(batch, pad_id=checkpoint.pad_id).to(self._device),
            sampling,
            stop_ids=checkpoint.stop_ids,
            tokenizer=checkpoint.tokenizer,
            indices=indices,
        )
        return [self._to_answer(item, row, sampling) for item, row in zip(batch, rows, strict=True)]

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


class NativeStepper:
    """The engine as a stepper, one request at a time."""

    def __init__(self, engine: NativeEngine) -> None:
        self._engine = engine
        self._waiting: deque[tuple[Request, Sampling, Ticket]] = deque()
        self.defaults = engine.defaults
        self.batch_size = engine.batch_size

    def prepare(self, request: Request, sampling: Sampling) -> Request:
        """Nothing yet."""
        self._engine._prepare(request, sampling.max_new_tokens)
        return request

    def add(self, prepared: Request, sampling: Sampling, index: int, ticket: Ticket) -> None:
        """Take a request in."""
        self._waiting.append((prepared, sampling, ticket))

    def step(self) -> bool:
        """The whole answer to the first request."""
        if not self._waiting:
            return False
        request, sampling, ticket = self._waiting.popleft()
        if not ticket.cancelled:
            [answer] = self._engine.generate([request], sampling)
            ticket.push(Piece(answer.text, answer.tokens))
            ticket.finish(answer)
        return True

    def abandon(self) -> None:
        """Forget all."""
        self._waiting.clear()

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """As the engine."""
        return self._engine.score(request, continuations)


def batches(lengths: Sequence[int], *, num_tokens: int, num_rows: int) -> Iterator[list[int]]:
    """Places of `lengths`, longest first, in batches of at most `num_rows` rows and `num_tokens` tokens, padding
    included; a batch has at least one row.

    Worked example: lengths (2, 9, 3, 8), 18 tokens, 3 rows -> [1, 3], [2, 0].
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    while order:
        fitting = max(1, min(num_rows, num_tokens // max(1, lengths[order[0]])))
        yield order[:fitting]
        order = order[fitting:]
