"""The one decoding loop: rows join a batch that runs, say a token at every step, and leave when they are done.

Axes: B rows, V vocabulary.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import torch

from auricle.conversation import Sampling
from auricle.generate.forward import ROOM_TOKENS, Prefilled, advance
from auricle.generate.sampler import Sampler
from auricle.generate.stopping import Stopping
from auricle.generate.tokens import Alternatives, Token, alternatives, chosen_logprobs
from auricle.model import PartedCache, Qwen2Audio
from auricle.text import Tokenizer


class Said(NamedTuple):
    """One row's next token; `last` where its answer is over."""

    row: int
    token: Token
    last: bool


@dataclass(eq=False, slots=True)
class _Cohort:
    """Rows that joined together and share a sampler, in its order."""

    sampler: Sampler
    rows: list["_Row"]

    def keep(self, rows: set["_Row"], device: torch.device) -> None:
        """Only those of them that are in `rows`."""
        places = [place for place, row in enumerate(self.rows) if row in rows]
        if len(places) < len(self.rows):
            self.rows = [self.rows[place] for place in places]
            with torch.inference_mode():
                self.sampler.keep(torch.tensor(places, dtype=torch.int64, device=device))


@dataclass(eq=False, slots=True)
class _Row:
    number: int
    sampling: Sampling
    stopping: Stopping
    num_said: int = 0
    last_id: int = 0
    over: bool = False


class RunningBatch:
    """Answers that are being said, each row with its own length, settings and end.

    A row whose answer is over, or that was dropped, leaves its place at the next `join` or `step`; until then
    `kept` can still read it.

    num_joined: how many rows there have been; the next one's number.
    """

    def __init__(
        self,
        model: Qwen2Audio,
        *,
        stop_ids: frozenset[int],
        tokenizer: Tokenizer | None = None,
        apart: int | None = None,
    ) -> None:
        """`apart`: a row of more tokens has buffers of its own, so that the others are not padded to its length."""
        self._model = model
        self._stop_ids = stop_ids
        self._tokenizer = tokenizer
        self._cache = PartedCache(model.config.text.windows, apart=apart)
        self._rows: list[_Row] = []  # in the order of the cache's
        self._cohorts: list[_Cohort] = []
        self.num_joined = 0

    @property
    def lengths(self) -> list[int]:
        """How many tokens each row that goes on has read."""
        return [length for row, length in zip(self._rows, self._cache.lengths, strict=True) if not row.over]

    @property
    def num_bytes(self) -> int:
        """Of the cache."""
        return self._cache.num_bytes

    def join(
        self,
        read: Prefilled,
        sampling: Sampling,
        indices: Sequence[int],
        *,
        rows: Sequence[int] | None = None,
        said: Sequence[int] = (),
    ) -> list[Said]:
        """Prompts that were read become rows, numbered on from those before -> the first token of each.

        Args:
            read: its cache is used up.
            sampling: how they are answered; without beams.
            indices: each row's place among all requests, which its draws depend on.
            rows: which of the prompts each row goes on from; each prompt once unless given.
            said: the ids at the prompts' end that are an answer's beginning, which goes on as if it had never paused.
        """
        if sampling.num_beams > 1:
            raise ValueError(f"{sampling.num_beams} beams have no token until the end: call generate")
        self._sweep()
        joined = [
            _Row(self.num_joined + place, sampling, Stopping(self._stop_ids, sampling.stop, self._tokenizer), len(said))
            for place in range(len(indices))
        ]
        for row, token_id in product(joined, said):
            row.stopping.ends(token_id)
        with torch.inference_mode():
            inputs, logits_BV = read.inputs, read.logits
            lengths = inputs.valid.sum(dim=1).tolist()
            rows = range(len(inputs.ids)) if rows is None else rows
            if list(rows) != list(range(len(inputs.ids))):
                picked = torch.tensor(rows, device=inputs.ids.device)
                inputs = replace(inputs, ids=inputs.ids[picked], valid=inputs.valid[picked])
                logits_BV = logits_BV[picked]
            self._cache.join(read.cache, rows, [lengths[row] for row in rows], room=ROOM_TOKENS)
            self._rows += joined
            self.num_joined += len(joined)
            if not self._is_plain(sampling):
                sampler = Sampler(sampling, inputs, stop_ids=self._stop_ids, indices=indices, num_said=len(said))
                self._cohorts.append(_Cohort(sampler, joined))
            return self._choose(joined, logits_BV)

    def step(self) -> list[Said]:
        """One more token of every row that goes on; empty where none does."""
        self._sweep()
        if not self._rows:
            return []
        with torch.inference_mode():
            device = next(self._model.parameters()).device
            ids_B, positions_B = torch.tensor([[row.last_id for row in self._rows], self._cache.lengths], device=device)
            return self._choose(self._rows, advance(self._model, ids_B, positions_B, self._cache))

    def drop(self, rows: Iterable[int]) -> None:
        """Nobody waits for these any more; those that are over or gone already are passed over."""
        numbers = set(rows)
        for row in self._rows:
            row.over |= row.number in numbers

    def kept(self, number: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """A copy of what a row that has not left has read: keys and values [kv_heads, tokens, head_width] a layer."""
        place = [row.number for row in self._rows].index(number)
        with torch.inference_mode():
            return self._cache.copy_row(place, self._cache.lengths[place])

    def _is_plain(self, sampling: Sampling) -> bool:
        """Whether the likeliest token is all that is asked for: then all rows' are found at once."""
        barred = sampling.min_new_tokens > 0 and bool(self._stop_ids)
        return sampling.temperature == 0 and sampling.repetition_penalty == 1 and not barred

    def _choose(self, rows: Sequence[_Row], logits_BV: torch.Tensor) -> list[Said]:
        """The next token of these rows, which have one score of every token each."""
        ids_B = logits_BV.argmax(dim=-1)
        place = {row: place for place, row in enumerate(rows)}
        for cohort in self._cohorts:
            if cohort.rows[0] in place:
                places = [place[row] for row in cohort.rows]
                ids_B[places] = cohort.sampler.choose(logits_BV[places])
        tokens = zip(ids_B.tolist(), chosen_logprobs(logits_BV, ids_B), self._tops(rows, logits_BV), strict=True)
        return [self._say(row, *token) for row, token in zip(rows, tokens, strict=True)]

    def _say(self, row: _Row, token_id: int, logprob: float, top: Alternatives) -> Said:
        row.last_id = token_id
        row.num_said += 1
        ends = row.stopping.ends(token_id)
        row.over = ends or row.num_said == row.sampling.max_new_tokens
        return Said(row.number, Token(token_id, logprob, ends, top), row.over)

    @staticmethod
    def _tops(rows: Sequence[_Row], logits_BV: torch.Tensor) -> list[Alternatives]:
        """The alternatives that each row asks for."""
        tops: list[Alternatives] = [()] * len(rows)
        asking = [place for place, row in enumerate(rows) if row.sampling.logprobs]
        if asking:
            most = max(rows[place].sampling.logprobs or 0 for place in asking)
            for place, top in zip(asking, alternatives(logits_BV[asking], most), strict=True):
                tops[place] = top[: rows[place].sampling.logprobs]
        return tops

    def _sweep(self) -> None:
        """Rows that are over leave."""
        staying = [place for place, row in enumerate(self._rows) if not row.over]
        if len(staying) == len(self._rows):
            return
        with torch.inference_mode():
            self._rows = [self._rows[place] for place in self._cache.keep(staying)]
        there, device = set(self._rows), next(self._model.parameters()).device
        self._cohorts = [cohort for cohort in self._cohorts if any(row in there for row in cohort.rows)]
        for cohort in self._cohorts:
            cohort.keep(there, device)
