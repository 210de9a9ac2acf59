"""One process or many: who this one is, what all of them say, and the model in shards.

Started by torchrun with more than one process they form a group (gloo on CPUs, NCCL beside it on CUDA), and FSDP2
keeps each parameter, its gradient and its optimizer state in as many shards. A single process has no group.
"""

import os
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed, nn

from auricle.engines.device import choose_device
from auricle.train.trainee import Trainee

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among all of the run; `rank` counts from 0."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this one writes and talks."""
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """What every rank says, in their order; all must call."""
        if self.size == 1:
            return [value]
        values: list[T] = [value] * self.size
        distributed.all_gather_object(values, value)
        return values


@contextmanager
def join_ranks(device: str) -> Iterator[Ranks]:
    """Meet the other processes that torchrun started, if any.

    Args:
        device: as in a recipe; of several GPUs each process takes one of its own.

    Raises:
        UserError: no such device here.
    """
    size, local_rank = (int(os.environ.get(name, default)) for name, default in (("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    chosen = choose_device(device)
    if size == 1:
        yield Ranks(0, 1, chosen)
        return
    if chosen.type == "cuda":
        chosen = choose_device(f"cuda:{local_rank}")
        torch.cuda.set_device(chosen)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    yield Ranks(distributed.get_rank(), size, chosen)
    distributed.barrier()  # a rank that left early would break what others still receive
    distributed.destroy_process_group()  # not after an error: NCCL would wait for ranks that no longer answer


def settle(trainee: Trainee, ranks: Ranks, masters: Container[str], dtype: torch.dtype) -> None:
    """Bring the model to the device, layer by layer, a share of each parameter to each rank.

    A layer is gathered when it is used, in `dtype`; gradients are summed over the ranks in float32.

    Args:
        trainee: on the CPU.
        ranks: one keeps everything.
        masters: the names of the model's parameters that are held in float32.
        dtype: of the arithmetic, in which all others are held.
    """
    model = trainee.model
    dtypes = {id(p): torch.float32 if name in masters else dtype for name, p in model.named_parameters()}
    for module in (*model.audio_tower.layers, *model.language_model.model.layers, trainee):
        for parameter in module.parameters():
            if id(parameter) in dtypes:  # those of sharded layers are others by now
                parameter.data = parameter.data.to(ranks.device, dtypes.pop(id(parameter)), copy=True)
        for buffer in module.buffers():
            buffer.data = buffer.data.to(ranks.device)
        if ranks.size > 1:
            _shard(module, ranks, dtype)


def _shard(module: nn.Module, ranks: Ranks, dtype: torch.dtype) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(ranks.device.type, (ranks.size,))
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    sharded = fully_shard(module, mesh=mesh, mp_policy=policy)
    sharded.set_gradient_divide_factor(1.0)  # the loss is divided by the items of all ranks already
    sharded.set_force_sum_reduction_for_comms(True)


def note_what_moves(trainee: Trainee, ranks: Ranks) -> None:
    """Tell the shards that other parameters ask for gradients than before.

    FSDP2 looks at `requires_grad` once, at the first forward: a layer that moves later would bring its gradient in the
    dtype of the arithmetic, which its float32 parameter refuses (torch 2.13). Gathering it looks again.
    """
    if ranks.size == 1:
        return
    from torch.distributed.fsdp import FSDPModule

    for module in trainee.modules():
        if isinstance(module, FSDPModule):
            module.unshard()
            module.reshard()


def sync_gradients(trainee: Trainee, ranks: Ranks, *, now: bool) -> None:
    """Whether the next backward sums the gradients over the ranks, or keeps this rank's until later."""
    if ranks.size == 1:
        return
    from torch.distributed.fsdp import FSDPModule

    root: nn.Module = trainee
    if isinstance(root, FSDPModule):  # fully_shard has changed its class
        root.set_requires_gradient_sync(now)
