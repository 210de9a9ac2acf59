"""From weighted sources to this rank's packs: one global order that no number of ranks or workers changes.

Stages, each with a state of its own: the mixture draws records, the packer fills packs, a step takes so many packs.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from auricle.data.loader import PackMaker, PackRequest, load_packs
from auricle.data.pack import Pack
from auricle.data.plan import Plan, PlannedPack
from auricle.data.records import Record
from auricle.data.refusal import Refusal
from auricle.data.source import Hear, Make, Measure, Source
from auricle.errors import UserError

__all__ = ["Hear", "Make", "Measure", "Source", "Step", "Stream"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one rank learns from in one step.

    packs: this rank's share, possibly none. num_rounds: forwards and backwards that every rank makes, so that none
    waits for another. number: the step's, from 0. state: of the stream after this step, plain numbers and lists.
    fill: how much of all ranks' packs was planned to be taken; a pack without sequences still counts.
    """

    number: int
    packs: tuple[Pack, ...]
    num_rounds: int
    state: dict[str, Any]
    fill: float = 1.0


class Stream:
    """Iterating gives endless steps, from the beginning or from the loaded state.

    Every rank plans the same packs and hears its own: of each step's packs those numbered rank, rank + world_size and
    so on. Draw d makes its group with `default_rng((seed, d, 0))` and hears it with `default_rng((seed, d, 1))`, so
    that steps depend neither on ranks and workers nor on where a run was interrupted.

    The iterator runs workers; `with closing(iter(stream)) as steps` ends them at once also when the loop fails.

    Args:
        sources: weighted data sets.
        make: a record to the sequences that belong together. Called twice for a draw, it gives the same.
        measure: bounds their tokens.
        hear: loads and renders them. A group that raises UserError is left out and named in `Pack.refused`.
        seed: of all that is drawn.
        pack_tokens: of a pack, over all its sequences.
        packs_per_step: over all ranks.
        max_tokens: of one group; longer ones are refused and named, never cut.
        rank: which share of each step is heard here.
        world_size: how many share a step.
        num_workers: processes that hear, two packs ahead each; 0 hears in this one, when a step is asked for.

    Raises:
        UserError: no source, an empty one, or a number out of range; while iterating, a thousand records in a row
            were refused.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        make: Make,
        measure: Measure,
        hear: Hear,
        seed: int,
        pack_tokens: int,
        packs_per_step: int,
        max_tokens: int,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
    ) -> None:
        _check(seed=(seed, 0), pack_tokens=(pack_tokens, 1), packs_per_step=(packs_per_step, 1))
        _check(max_tokens=(max_tokens, 1), num_workers=(num_workers, 0))
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size}")
        self._sources = sources
        self._measure = measure
        self._maker = PackMaker(make, hear, seed)
        self._own = range(rank, packs_per_step, world_size)
        self._num_workers = num_workers
        self._settings: dict[str, Any] = {
            "seed": seed,
            "pack_tokens": pack_tokens,
            "packs_per_step": packs_per_step,
            "max_tokens": max_tokens,
            "sources": [[source.name, len(source.records), source.weight] for source in sources],
        }
        self._state = self._state_after(0, self._plan().state())

    def load_state(self, state: dict[str, Any]) -> None:
        """The next iteration goes on right after the step that carried this state, on any number of ranks and workers.

        Raises:
            UserError: the state is of other data or settings.
        """
        for name, value in self._settings.items():
            if state["settings"][name] != value:
                raise UserError(
                    f"cannot continue the data where they stopped: {name} was {state['settings'][name]}, "
                    f"now it is {value}; keep it, or start a new run from the checkpoint's weights"
                )
        self._state = state

    def __iter__(self) -> Generator[Step, None, None]:
        """Steps without end; an iterator of its own each time."""
        plan, num_packs = self._plan(), self._settings["packs_per_step"]
        plan.load(self._state["plan"])
        ahead = _Ahead(plan, num_packs, self._settings["pack_tokens"], self._own)
        num_rounds = -(-num_packs // self._own.step)
        with closing(load_packs(ahead.requests(), self._maker, num_workers=self._num_workers)) as packs:
            for number in count(self._state["steps"]):
                fill, state = ahead.step()
                own = tuple(islice(packs, len(self._own)))
                yield Step(number, own, num_rounds, self._state_after(number + 1, state), fill)

    def _plan(self) -> Plan:
        settings = self._settings
        return Plan(
            self._sources,
            make=self._maker.make,
            measure=self._measure,
            seed=settings["seed"],
            pack_tokens=settings["pack_tokens"],
            max_tokens=settings["max_tokens"],
        )

    def _state_after(self, num_steps: int, plan: dict[str, Any]) -> dict[str, Any]:
        return {"settings": self._settings, "steps": num_steps, "plan": plan}


class _Ahead:
    """Plans as far as either of its two readers asks: the loader for this rank's packs, the stream for whole steps."""

    def __init__(self, plan: Plan, packs_per_step: int, pack_tokens: int, own: range) -> None:
        self._plan = plan
        self._packs_per_step = packs_per_step
        self._pack_tokens = pack_tokens
        self._own = own
        self._current: list[PlannedPack] = []
        self._requests: deque[PackRequest] = deque()
        self._steps: deque[tuple[float, dict[str, Any]]] = deque()
        self._failure: UserError | None = None

    def requests(self) -> Iterator[PackRequest]:
        """This rank's, until planning fails: what was planned before is still heard."""
        while True:
            while not self._requests:
                if self._failure is not None:
                    return
                self._advance()
            yield self._requests.popleft()

    def step(self) -> tuple[float, dict[str, Any]]:
        """Fill of the next step and the plan's state after it; all its requests are given out or wait."""
        while not self._steps:
            if self._failure is not None:
                raise self._failure
            self._advance()
        return self._steps.popleft()

    def _advance(self) -> None:
        try:
            pack = self._plan.pack()
        except UserError as error:
            self._failure = error
            return
        if len(self._current) in self._own:
            self._requests.append(self._request(pack))
        self._current.append(pack)
        if len(self._current) == self._packs_per_step:
            num_tokens = sum(pack.tokens for pack in self._current)
            room = sum(max(pack.tokens, self._pack_tokens) for pack in self._current)
            self._steps.append((num_tokens / room, self._plan.state()))
            self._current = []

    def _request(self, pack: PlannedPack) -> PackRequest:
        """Records are read once more; one that has turned bad since it was planned is left out."""
        pieces: list[tuple[int, int, Record]] = []
        refused = list(pack.refused)
        for piece in pack.pieces:
            try:
                pieces.append((piece.number, piece.tokens, self._plan.record(piece)))
            except UserError as error:
                refused.append(Refusal.of(self._plan.where(piece), error))
        return PackRequest(tuple(pieces), tuple(refused))


def _check(**least: tuple[int, int]) -> None:
    for name, (value, smallest) in least.items():
        if value < smallest:
            raise UserError(f"{name} must be at least {smallest}: got {value}")
