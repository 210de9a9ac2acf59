"""DPO on the policy's own answers: prompts with references become pairs right before they are learnt."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch

from auricle import units
from auricle.audio import Mel
from auricle.conversation import Sampling
from auricle.data import Group, Label, Pack, Preference, Record, make_pack
from auricle.data.source import Make
from auricle.data.stream import Step
from auricle.generate import Generated, branch
from auricle.model import Qwen2Audio
from auricle.prepare import Prepared, Prompt, SpecialTokens, collate
from auricle.text import Tokenizer
from auricle.train.dpo import dpo_make
from auricle.train.judges import Case, Judge, judge_all
from auricle.train.pairing import Drawn, pair
from auricle.train.rollouts import RolloutSettings


def rollout_make(make: Make) -> Make:
    """`Make` of what `OnPolicy` takes: a preference with its preferred answer, any other record as `make` has it."""

    def of(record: Record, rng: np.random.Generator) -> Group:
        return dpo_make(record, rng)[:1] if isinstance(record, Preference) else make(record, rng)

    return of


@dataclass(frozen=True, slots=True)
class Question:
    """A sequence of a pack taken apart: ids before its last answer, that answer with its end, and what comes after."""

    before: tuple[int, ...]
    answer: tuple[int, ...]
    after: tuple[int, ...]
    mels: tuple[Mel, ...]
    label: Label


class OnPolicy:
    """Turns a step's packs of prompts with reference answers into packs of pairs, before the step is learnt.

    Every sequence is answered several times by the model as it is now, from one reading of its prompt; the judges
    compare the answers with the reference, and the best and the worst make the pair. A prompt whose answers do not
    differ enough is left out; a pack may end up empty. Draws follow from the seed, the step and the sequence alone, so
    that a resumed run draws the same, on any number of ranks. Each rank decodes alone: the model must be whole on it.

    Args:
        model: the policy.
        tokenizer: its tokenizer.
        stop_ids: what ends an answer.
        judges: by dimension.
        settings: of draws and pairs.
        arithmetic: what a forward runs in, such as autocast.
    """

    def __init__(
        self,
        model: Qwen2Audio,
        tokenizer: Tokenizer,
        *,
        stop_ids: frozenset[int],
        judges: Sequence[tuple[str, Judge]],
        settings: RolloutSettings,
        arithmetic: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._tokens = SpecialTokens.of(tokenizer)
        self._stop_ids = stop_ids
        self._judges = judges
        self._settings = settings
        self._arithmetic = arithmetic
        self.num_prompts = 0  # of the step that was asked for last
        self.num_pairs = 0

    def __call__(self, step: Step) -> Step:
        """The same step, of pairs."""
        self.num_prompts = self.num_pairs = 0
        training = self._model.training
        self._model.eval()
        packs = tuple(self._pairs_of(pack, step.number) for pack in step.packs)
        self._model.train(training)
        return replace(step, packs=packs)

    def _pairs_of(self, pack: Pack, step: int) -> Pack:
        sequences = [one for question in self._questions(pack) for one in self._pair(question, step)]
        return make_pack(sequences, pack.refused)

    def _pair(self, question: Question, step: int) -> list[tuple[Prepared, Label]]:
        """Chosen and rejected, or nothing."""
        rows = self._draw(question, step)
        texts = [self._tokenizer.decode(row.ids).strip() for row in rows]
        judged = judge_all(self._case(question), texts, self._judges)
        drawn = [
            Drawn(text, len(row.ids), row.finish_reason == "stop", verdicts)
            for text, row, verdicts in zip(texts, rows, judged, strict=True)
        ]
        self.num_prompts += 1
        if not drawn:
            return []
        margin, tolerance = self._settings.margin, self._settings.length_tolerance
        found = pair(drawn, margin=margin, length_tolerance=tolerance)
        if isinstance(found, str):
            return []
        self.num_pairs += 1
        return [self._sequence(question, rows[place]) for place in (found.chosen, found.rejected)]

    def _draw(self, question: Question, step: int) -> list[Generated]:
        """The answers that a conversation can hold: those without a place for sound, and not empty."""
        settings = self._settings
        told = repr((settings.seed, step, question.before, question.label.key, question.label.where))
        sampling = Sampling(
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_new_tokens=settings.max_new_tokens,
            seed=int(hashlib.sha256(told.encode()).hexdigest()[:12], 16),
        )
        prepared = self._prepared(question.before, 0, question.mels)
        device = next(self._model.parameters()).device
        inputs = collate([prepared], pad_id=0).to(device)
        with self._arithmetic():
            rows = branch(self._model, inputs, sampling, settings.num, stop_ids=self._stop_ids)
        return [row for row in rows if row.ids and self._tokens.audio not in row.ids]

    def _sequence(self, question: Question, row: Generated) -> tuple[Prepared, Label]:
        """Prompt and answer; an answer that did not end has no end to be learnt."""
        said, after = tuple(row.ids), question.after[:0]
        if row.finish_reason == "stop":
            said, after = (*said, question.answer[-1]), question.after
        prepared = self._prepared((*question.before, *said, *after), len(said), question.mels, num_after=len(after))
        key = hashlib.sha256(repr((question.label.key, prepared.prompt.ids)).encode()).hexdigest()
        return prepared, replace(question.label, key=key)

    def _prepared(self, ids: tuple[int, ...], num_said: int, mels: tuple[Mel, ...], *, num_after: int = 0) -> Prepared:
        end = len(ids) - num_after
        loss = tuple(end - num_said <= place < end for place in range(len(ids)))
        return Prepared(Prompt(ids, loss, _spans(ids, self._tokens.audio)), mels)

    def _case(self, question: Question) -> Case:
        """The last turn of the user, or all of a raw prompt, and the reference."""
        ids = list(question.before)
        starts = [place for place, token_id in enumerate(ids) if token_id == self._tokens.im_start]
        if len(starts) > 1:
            ids = ids[starts[-2] : starts[-1]]
        ids = [token_id for token_id in ids if token_id != self._tokens.audio]
        instruction = self._tokenizer.decode(ids).removeprefix("user\n").strip()
        reference = self._tokenizer.decode(question.answer).strip()
        return Case(instruction, reference, question.label.task)

    def _questions(self, pack: Pack) -> list[Question]:
        mels = [Mel(f, num) for f, num in zip(pack.inputs.features, pack.inputs.num_frames, strict=True)]
        heard = iter(pack.inputs.heard)
        marked = set((pack.places + 1).tolist())
        questions, start = [], 0
        for label, part in zip(pack.labels, pack.inputs.ids.split(list(pack.inputs.lengths)), strict=True):
            ids = tuple(part.tolist())
            last = max(place for place in range(len(ids)) if start + place in marked)
            first = last
            while start + first - 1 in marked:
                first -= 1
            after = ids[last + 1 :]
            if self._tokens.im_start in after:
                after = after[: after.index(self._tokens.im_start)]  # what follows would answer another answer
            own = self._heard(ids, mels, heard)
            num_before = len(self._heard(ids[:first], own, iter(range(len(own)))))
            questions.append(Question(ids[:first], ids[first : last + 1], after, own[:num_before], label))
            start += len(ids)
        return questions

    def _heard(self, ids: tuple[int, ...], mels: Sequence[Mel], heard: Iterator[int]) -> tuple[Mel, ...]:
        """The windows that the places in a sequence hear, taken from those that come next."""
        own, num_places = list[Mel](), ids.count(self._tokens.audio)
        while sum(units.tokens_from_frames(mel.num_frames) for mel in own) < num_places:
            own.append(mels[next(heard)])
        return tuple(own)


def _spans(ids: Sequence[int], audio_id: int) -> tuple[tuple[int, int], ...]:
    """Where the runs of one id begin and end."""
    is_audio = torch.tensor([0, *(token_id == audio_id for token_id in ids), 0])
    edges = is_audio.diff().nonzero()[:, 0].tolist()
    return tuple(zip(edges[0::2], edges[1::2], strict=True))
