"""Planned packs to packs: groups made again, heard and put together, in this process or in workers.

A worker hands a pack over as bytes through a pipe. Tensors in shared memory would take a file descriptor for every
window of sound, and more of /dev/shm than a container has.
"""

import io
import pickle
import signal
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from auricle.data.mixture import draw_generator
from auricle.data.pack import Label, Pack, make_pack
from auricle.data.records import Group, Record
from auricle.data.refusal import Refusal
from auricle.data.source import Hear, Make
from auricle.errors import UserError
from auricle.prepare import Prepared

_AHEAD = 2  # packs that each worker has ready or in work


@dataclass(frozen=True, slots=True)
class PackRequest:
    """A pack to be heard: draw number, tokens at most and record of each piece, and what was refused already."""

    pieces: tuple[tuple[int, int, Record], ...]
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class PackMaker:
    """What turns a request into a pack, in any process alike."""

    make: Make
    hear: Hear
    seed: int

    def __call__(self, request: PackRequest) -> Pack:
        """The pack; a group that cannot be heard is left out of it and named."""
        sequences: list[tuple[Prepared, Label]] = []
        refused = list(request.refused)
        for number, tokens, record in request.pieces:
            with leaving_out(record.where, refused):
                group = self.make(record, draw_generator(self.seed, number, "make"))
                sequences += hear_group(self.hear, group, draw_generator(self.seed, number, "hear"), tokens)
        return make_pack(sequences, refused)


@contextmanager
def leaving_out(where: str, refused: list[Refusal]) -> Iterator[None]:
    """What a user did wrong inside is one more in `refused`."""
    try:
        yield
    except UserError as error:
        refused.append(Refusal.of(where, error))


def hear_group(hear: Hear, group: Group, rng: np.random.Generator, tokens: int) -> Sequence[tuple[Prepared, Label]]:
    """A group's sequences.

    Raises:
        UserError: it cannot be heard, or takes more tokens than were planned for it.
    """
    heard = hear(group, rng)
    num_tokens = sum(len(prepared.prompt.ids) for prepared, _ in heard)
    if num_tokens > tokens:
        raise UserError(
            f"longer than planned: {num_tokens} tokens, expected at most {tokens}; "
            "correct the duration that its manifest states"
        )
    return heard


def load_packs(requests: Iterator[PackRequest], maker: PackMaker, *, num_workers: int) -> Generator[Pack, None, None]:
    """The packs in their request.

    Worker processes start with the first pack and end when the iterator is closed, let go of or fails. A worker's
    error that is not a `UserError` is raised here with its traceback.

    Args:
        requests: taken in this process, at most two for each worker ahead of the pack that is asked for.
        maker: where processes are not forked it must be picklable.
        num_workers: 0 hears in this process.
    """
    if num_workers == 0:
        yield from map(maker, requests)
        return
    loader = DataLoader(
        _Packs(maker),
        batch_size=None,
        sampler=requests,
        num_workers=num_workers,
        prefetch_factor=_AHEAD,
        worker_init_fn=_begin_work,
        generator=torch.Generator(),  # else it would draw from the run's own
    )
    try:
        for data in loader:
            yield pickle.loads(data)
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # they hold the loader, and with it the workers
        raise


class _Packs(Dataset[bytes]):
    """Requests are its indices."""

    def __init__(self, maker: PackMaker) -> None:
        self._maker = maker

    def __getitem__(self, request: PackRequest) -> bytes:
        file = io.BytesIO()
        _Pickler(file, protocol=5).dump(self._maker(request))
        return file.getvalue()


class _Pickler(pickle.Pickler):
    """Tensors travel as NumPy arrays: their own elements only, no shared memory."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return torch.from_numpy, (value.numpy(),)
        return NotImplemented


def _begin_work(_: int) -> None:
    """One core for each worker; interrupts are the main process's affair, which then ends its workers."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)  # of NumPy; the loader limits torch
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the run's own handler was inherited
