"""Our own model on one device: batches of requests."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from auricle import units
from auricle.audio import Mel, Waveform, cut_windows, log_mel
from auricle.conversation import Answer, RawPrompt, Sampling
from auricle.engines.interface import Request
from auricle.engines.room import ROW_TOKENS, Room, batches
from auricle.engines.writing import refuse_schema, report_tokens
from auricle.errors import UserError
from auricle.generate import (
    Generated,
    Prefilled,
    RunningBatch,
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
        ids = [self.checkpoint.tokenizer.encode(text) for text in continuations]
        item = self._prepare(request, max(map(len, ids)))
        return self.score_read(read(self.checkpoint.model, self._collate([item])), ids)

    def score_read(self, prompt: Prefilled, continuations: Sequence[Sequence[int]]) -> list[float]:
        """As `score`, of a prompt that was read and of ids; as many at once as there is memory for."""
        num_tokens = prompt.cache.num_tokens + max(map(len, continuations))
        num_at_once = max(1, self.batch_size * ROW_TOKENS // num_tokens)
        return score(self.checkpoint.model, prompt, continuations, batch_size=num_at_once)

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
