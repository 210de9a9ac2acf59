"""Beam search, as transformers 5.23 does it with early_stopping False.

A prompt's bookkeeping is plain Python over a handful of candidates; only what touches the vocabulary is a tensor.
Axes: B prompts, W beams of a prompt, R all beams (B * W), C candidates of a prompt, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from auricle.conversation import Sampling
from auricle.generate.forward import advance, prefill
from auricle.generate.sampler import History
from auricle.generate.stopping import cut_at_stop, need_tokenizer
from auricle.generate.tokens import Generated, Token, alternatives
from auricle.model import ModelInput, Qwen2Audio
from auricle.text import Tokenizer

_DEAD = -1e9  # what transformers adds to the score of a beam that must not win


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """An answer so far: its last token, what was said before it, and the sum of its scores, penalties included."""

    score: float
    token: Token | None = None
    before: "Hypothesis | None" = None

    def tokens(self) -> list[Token]:
        """All of them, in the order they were said."""
        said, hypothesis = [], self
        while hypothesis.token is not None and hypothesis.before is not None:
            said.append(hypothesis.token)
            hypothesis = hypothesis.before
        return said[::-1]

    @property
    def ended(self) -> bool:
        """Whether its last token ended it."""
        return self.token is not None and self.token.ends


Candidate = tuple[int, Hypothesis]
"""Which of a prompt's beams is continued, and the longer hypothesis."""


@dataclass(slots=True)
class Beams:
    """The search for one prompt's answer.

    running: the hypotheses that go on, best first; parents: which of the beams before each of them continues.
    finished: (rank, hypothesis), best first, at most as many as there are beams.
    open: whether a running hypothesis may still beat a finished one.
    """

    running: list[Hypothesis]
    parents: list[int] = field(default_factory=list)
    finished: list[tuple[float, Hypothesis]] = field(default_factory=list)
    open: bool = True

    @classmethod
    def start(cls, width: int) -> "Beams":
        """All beams are the same prompt: only the first may win until they differ."""
        return cls([Hypothesis(0.0), *[Hypothesis(_DEAD)] * (width - 1)])

    def advance(self, candidates: list[Candidate], *, length: int, length_penalty: float, last: bool) -> None:
        """One step, with candidates of `length` tokens, best first; at the `last` step every one of them ends.

        1. Of the best W, those that end compete with the finished ones for W places, by score / length ** penalty.
        2. The best W that do not end go on.
        3. The search closes when the best that goes on, ranked at its present length, beats no finished one.
        """
        width, scale = len(self.running), length**length_penalty
        ended = [(found.score / scale, found) for _, found in candidates[:width] if last or found.ended]
        self.finished = sorted(self.finished + ended, key=lambda ranked: -ranked[0])[:width]
        going = sorted(candidates, key=lambda candidate: last or candidate[1].ended)[:width]
        self.parents = [parent for parent, _ in going]
        self.running = [replace(h, score=h.score + _DEAD) if last or h.ended else h for _, h in going]
        worst = self.finished[-1][0] if len(self.finished) == width else _DEAD
        self.open = self.running[0].score / scale > worst


def beam_search(
    model: Qwen2Audio,
    inputs: ModelInput,
    sampling: Sampling,
    *,
    stop_ids: frozenset[int],
    tokenizer: Tokenizer | None = None,
) -> list[Generated]:
    """The best answer to each prompt of a batch; its `logprob` is the model's own, penalties apart."""
    rows = []
    for _, best in search(model, inputs, sampling, stop_ids=stop_ids, tokenizer=tokenizer):
        rows.append(Generated())
        for token in best.tokens():
            rows[-1].add(token, stop_ids)
    return rows


def search(
    model: Qwen2Audio,
    inputs: ModelInput,
    sampling: Sampling,
    *,
    stop_ids: frozenset[int],
    tokenizer: Tokenizer | None = None,
) -> list[tuple[float, Hypothesis]]:
    """Each prompt's best hypothesis with its rank, which is transformers' `sequences_scores`.

    The prompts are read once, not once a beam; the beams then take a copy of the cache each.
    """
    (batch, num_prompt), device, width = inputs.ids.shape, inputs.ids.device, sampling.num_beams
    expand = _Expand(sampling, stop_ids, tokenizer)
    everyone = [Beams.start(width) for _ in range(batch)]
    searching = everyone
    with torch.inference_mode():
        history = History(sampling, inputs, stop_ids)
        logits_RV, cache = prefill(model, inputs)
        rows = torch.arange(batch, device=device).repeat_interleave(width)
        cache.keep(rows)
        history.keep(rows)
        logits_RV, positions_R = logits_RV[rows], inputs.positions[rows, -1]
        for length in range(1, sampling.max_new_tokens + 1):
            last = length == sampling.max_new_tokens
            for beams, candidates in zip(searching, expand(searching, logits_RV, history), strict=True):
                beams.advance(candidates, length=length, length_penalty=sampling.length_penalty, last=last)
            going = [place for place, beams in enumerate(searching) if beams.open]
            if last or not going:
                break
            order = [place * width + parent for place in going for parent in searching[place].parents]
            rows = torch.tensor(order, device=device)
            if len(going) == len(searching):
                cache.reorder(rows, start=num_prompt)
            else:
                cache.keep(rows)
            searching = [searching[place] for place in going]
            said = [hypothesis.token.id for beams in searching for hypothesis in beams.running if hypothesis.token]
            ids_R, positions_R = torch.tensor(said, device=device), positions_R[rows] + 1
            history.keep(rows)
            history.add(ids_R)
            logits_RV = advance(model, ids_R, positions_R, cache)
    return [beams.finished[0] for beams in everyone]


class _Expand:
    """From running hypotheses and the scores of their next tokens to each prompt's candidates, best first."""

    def __init__(self, sampling: Sampling, stop_ids: frozenset[int], tokenizer: Tokenizer | None) -> None:
        self._num = max(2, 1 + len(stop_ids)) * sampling.num_beams  # enough that W of them do not end
        self._num_top = sampling.logprobs
        self._stop_ids = stop_ids
        self._stop = sampling.stop
        self._tokenizer = need_tokenizer(tokenizer) if sampling.stop else None

    def __call__(self, searching: Sequence[Beams], logits_RV: torch.Tensor, history: History) -> list[list[Candidate]]:
        running = [hypothesis for beams in searching for hypothesis in beams.running]
        logprobs_RV = logits_RV - logits_RV.logsumexp(dim=-1, keepdim=True)
        scores_R = torch.tensor([hypothesis.score for hypothesis in running], device=logits_RV.device)
        scores_RV = history.apply(logprobs_RV) + scores_R[:, None]
        best = scores_RV.view(len(searching), -1).topk(self._num)
        logprobs_BC = logprobs_RV.view(len(searching), -1).gather(1, best.indices)
        top = alternatives(logits_RV, self._num_top)
        width, vocabulary = len(running) // len(searching), logits_RV.shape[1]
        found: list[list[Candidate]] = [[] for _ in searching]
        for row, columns in enumerate(
            zip(*(t.tolist() for t in (best.indices, best.values, logprobs_BC)), strict=True)
        ):
            for place, score, logprob in zip(*columns, strict=True):
                parent, token_id = divmod(place, vocabulary)
                beam = row * width + parent
                token = Token(token_id, logprob, self._ends(running[beam], token_id), top[beam])
                found[row].append((parent, Hypothesis(score, token, running[beam])))
        return found

    def _ends(self, before: Hypothesis, token_id: int) -> bool:
        if token_id in self._stop_ids:
            return True
        if self._tokenizer is None:
            return False
        text = self._tokenizer.decode([*(token.id for token in before.tokens()), token_id])
        return cut_at_stop(text, self._stop) != text
