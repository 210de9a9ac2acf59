"""What is measured while it trains, on examples that it never learns from."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import distributed, nn

from auricle.data import Group, Pack
from auricle.data.source import Hear, Measure
from auricle.errors import UserError
from auricle.train.answering import HeldoutAnswer, Question, answer, ask_of, rates
from auricle.train.objective import Objective
from auricle.train.probes import Probes, make_probes
from auricle.train.trainee import Trainee
from auricle.weights import Checkpoint

Sums = dict[str, tuple[float, float]]
"""For each name a sum and the count that it is divided by."""

_NLL = "nll/per_token"  # beside what an objective logs, which may have an `nll` of its own


@dataclass(frozen=True, slots=True)
class Seen:
    """values: for `Listener.note`; answers: for `RunFolder.answers`; remarks: sentences, each told once in a run.

    Names of the values: `heldout/loss` and all else that the objective logs, over all examples. Over those that hear
    something: `heldout/nll`, nats a token, `heldout/nll_other_audio`, the same with each hearing another's recording,
    and `heldout/gap`, 1 - the first / the second: 0 where the model does not listen. Of pairs the preferred answers
    count. `silent/...`: what the objective logs of pairs whose recordings are silent. `heldout/wer`,
    `heldout/answer_wer` and `heldout/exact_match`: of the answers, as `answering.rates` has them.
    """

    values: dict[str, float]
    answers: tuple[HeldoutAnswer, ...] = ()
    remarks: tuple[str, ...] = ()


class Watch:
    """Held-out loss, alignment probe and answers of the model in training; leaves it, and all generators, as they were.

    Everything is heard and packed at the first call and kept in memory. Over several ranks each takes its part of the
    packs and all say the same; answers are then left out, because a sharded model cannot generate.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        measure: Measure,
        hear: Hear,
        objective: Objective,
        checkpoint: Checkpoint,
        *,
        num_answers: int,
        pack_tokens: int,
        seed: int = 0,
        arithmetic: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Nothing is heard before the first call.

        Args:
            groups: held-out, as `data.heldout.heldout_groups` draws them, each of a line of its own.
            measure: bounds a group's tokens.
            hear: without augmentation.
            objective: of the stage.
            checkpoint: tokenizer and ends of answers; its model is not used.
            num_answers: so many of the groups are answered.
            pack_tokens: of a held-out pack.
            seed: who hears whose recording.
            arithmetic: what a forward runs in, such as autocast.
        """
        self._groups, self._objective, self._checkpoint = groups, objective, checkpoint
        self._num_answers, self._arithmetic = num_answers, arithmetic
        self._make_probes = partial(make_probes, groups, measure, hear, pack_tokens=pack_tokens, seed=seed)
        self._probes: Probes | None = None
        self._questions: list[Question] = []
        self._remarks: list[str] = []
        self._told = 0

    def __call__(self, trainee: Trainee) -> Seen:
        """Measure; every rank calls it at the same step."""
        with _at_rest(trainee):
            values = self._losses(trainee, self._ready())
            answers: list[HeldoutAnswer] = []
            if _world() == 1:
                answers = self._ask(trainee, values)
        remarks = tuple(self._remarks[self._told :])
        self._told = len(self._remarks)
        return Seen(values, tuple(answers), remarks)

    def scored(self) -> list[Pack]:
        """This rank's packs that the objective measures."""
        probes, rank, world = self._ready(), _rank(), _world()
        return [pack for packs in (probes.heard, probes.text, probes.silent) for pack in packs[rank::world]]

    def _ready(self) -> Probes:
        if self._probes is None:
            self._probes = self._make_probes()
            self._prepare_questions()
            for sentence in self._probes.remarks:
                self._remark(sentence)
        return self._probes

    def _prepare_questions(self) -> None:
        if _world() > 1:
            if self._num_answers:
                self._remark("no answers and no word error rate: a model on several ranks cannot generate")
            return
        num = min(self._num_answers, len(self._groups))
        for place in range(num):
            try:
                self._questions.append(ask_of(self._groups[place * len(self._groups) // num][0]))
            except UserError as error:
                self._remark(f"a held-out question is left out: {error}")

    def _losses(self, trainee: Trainee, probes: Probes) -> dict[str, float]:
        heard, other = self._sums(trainee, probes.heard), self._sums(trainee, probes.other, with_objective=False)
        text, silent = self._sums(trainee, probes.text), self._sums(trainee, probes.silent)
        everywhere = _added([heard, text])
        everywhere.pop(_NLL, None)
        values = {f"heldout/{name}": value for name, value in _means(everywhere).items()}
        if _NLL in heard:
            values["heldout/nll"] = true = _means(heard)[_NLL]
            if _NLL in other:
                values["heldout/nll_other_audio"] = shuffled = _means(other)[_NLL]
                values["heldout/gap"] = 1 - true / shuffled
        silent.pop(_NLL, None)
        return values | {f"silent/{name}": value for name, value in _means(silent).items()}

    def _sums(self, trainee: Trainee, packs: Sequence[Pack], *, with_objective: bool = True) -> Sums:
        """Over all ranks; a rank without a pack of a round goes along with the first one, so that none waits."""
        device, rank, world = next(trainee.parameters()).device, _rank(), _world()
        mine: list[Sums] = []
        for first in range(0, len(packs), world):
            place = first + rank
            pack = packs[place if place < len(packs) else 0].to(device)
            with self._arithmetic():
                nll_P = trainee(pack)
            if place < len(packs):
                mine.append(self._logged(nll_P.float(), pack, with_objective=with_objective))
        return _over_ranks(_added(mine))

    def _logged(self, nll_P: torch.Tensor, pack: Pack, *, with_objective: bool) -> Sums:
        of_pairs = any(len(group) == 2 for group in self._groups)
        counted_P = nll_P[pack.sequences % 2 == 0] if of_pairs else nll_P
        sums: Sums = {_NLL: (counted_P.sum().item(), float(len(counted_P)))}
        if with_objective:
            loss = self._objective(nll_P, pack)
            sums |= {"loss": (loss.sum.item(), self._objective.count(pack))} | loss.logged
        return sums

    def _ask(self, trainee: Trainee, values: dict[str, float]) -> list[HeldoutAnswer]:
        answers: list[HeldoutAnswer] = []
        try:
            with self._arithmetic():
                answers = answer(self._questions, self._checkpoint, trainee.model)
            values |= {f"heldout/{name}": value for name, value in rates(answers).items()}
        except UserError as error:
            self._remark(f"held-out answers {'are not scored' if answers else 'are left out'}: {error}")
        return answers

    def _remark(self, sentence: str) -> None:
        if sentence not in self._remarks:
            self._remarks.append(sentence)


@contextmanager
def _at_rest(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module's mode and every generator is as it was."""
    training = {part: part.training for part in module.modules()}
    device = next(module.parameters()).device
    devices = [device] if device.type == "cuda" else []
    try:
        module.eval()
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            yield
    finally:
        for part, was in training.items():
            part.training = was


def _added(parts: Sequence[Sums]) -> Sums:
    total: Sums = {}
    for part in parts:
        for name, (sum_, count) in part.items():
            before = total.get(name, (0.0, 0.0))
            total[name] = (before[0] + sum_, before[1] + count)
    return total


def _means(sums: Sums) -> dict[str, float]:
    return {name: sum_ / count for name, (sum_, count) in sums.items() if count}


def _over_ranks(sums: Sums) -> Sums:
    if _world() == 1:
        return sums
    gathered: list[Sums] = [{} for _ in range(_world())]
    distributed.all_gather_object(gathered, sums)
    return _added(gathered)


def _world() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def _rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0
