"""The frozen reference's log-probabilities: computed once, kept on disk, found again by every later run.

Axes: P supervised positions, S sequences.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn

from auricle.content_cache import ContentCache
from auricle.data import Pack
from auricle.train.trainee import Trainee

Nll = Callable[[Pack], torch.Tensor]
"""A pack on any device -> float32 [supervised] negative log-likelihoods of the reference, on the reference's device.

It must not wait for other ranks: which packs are known already differs from rank to rank. A sharded model is no `Nll`;
compute before sharding, or from a whole copy.
"""


@dataclass(frozen=True, slots=True)
class Precomputed:
    """Sequences whose log-probability was computed, and those that were known already."""

    num_computed: int
    num_known: int


class Reference:
    """Log-probabilities of whole answers under the frozen reference.

    A key is the sha256 of the reference's fingerprint, of the sequence's ids and the very samples it hears
    (`Label.key`), and of the places that are scored: augmented recordings, other weights and other masks are other
    keys, and the same data under the same reference are never computed twice.
    """

    def __init__(self, cache: ContentCache, fingerprint: str, nll: Nll) -> None:
        self._cache = cache
        self._fingerprint = fingerprint
        self._nll = nll

    def logps(self, pack: Pack) -> torch.Tensor:
        """float32 [sequences] on the pack's device, from the cache; one forward where a sequence is not known."""
        keys = self._keys(pack)
        known = self._known(keys)
        if any(key not in known for key in keys):
            known |= self._compute(pack, keys, known, self._nll)
        return torch.tensor([known[key] for key in keys], device=pack.places.device)

    def precompute(self, packs: Iterable[Pack], nll: Nll | None = None) -> Precomputed:
        """Fill the cache; killed and started again, it goes on where it was.

        Args:
            packs: all that this rank will learn from. The stream's draws are seeded: its packs of the whole run,
                augmentation included, are those that training hears.
            nll: what computes here: before the first step the policy itself is the reference; the reference's own
                unless given.
        """
        num_computed = num_known = 0
        for pack in packs:
            keys = self._keys(pack)
            known = self._known(keys)
            missing = {key for key in keys if key not in known}
            if missing:
                self._compute(pack, keys, known, self._nll if nll is None else nll)
            num_computed += len(missing)
            num_known += len(set(keys)) - len(missing)
        return Precomputed(num_computed, num_known)

    def is_whole(self, run: str) -> bool:
        """Whether all that this run learns from was computed."""
        key = self._run_key(run)
        return key in self._cache.get([key])

    def note_whole(self, run: str) -> None:
        """All that this run learns from is computed."""
        self._cache.put({self._run_key(run): "1"})

    def free(self) -> None:
        """Give the memory of a frozen copy back."""
        if isinstance(self._nll, FrozenCopy):
            self._nll.free()

    def _run_key(self, run: str) -> str:
        return hashlib.sha256(repr((self._fingerprint, "a whole run", run)).encode()).hexdigest()

    def _known(self, keys: list[str]) -> dict[str, float]:
        return {key: float(json.loads(value)) for key, value in self._cache.get(keys).items()}

    def _compute(self, pack: Pack, keys: list[str], known: dict[str, float], nll: Nll) -> dict[str, float]:
        with torch.no_grad():
            logps = sequence_logps(nll(pack), pack).tolist()
        found = {key: logp for key, logp in zip(keys, logps, strict=True) if key not in known}
        self._cache.put({key: json.dumps(logp) for key, logp in found.items()})
        return found

    def _keys(self, pack: Pack) -> list[str]:
        keys, start = [], 0
        scored = split_by_sequence(pack.places, pack)
        for label, length, places in zip(pack.labels, pack.inputs.lengths, scored, strict=True):
            if not label.key:
                raise ValueError(f"{label.where} has no content hash; the stage must ask for keys (needs_keys)")
            marked = [place - start for place in places.tolist()]
            keys.append(hashlib.sha256(repr((self._fingerprint, label.key, marked)).encode()).hexdigest())
            start += length
        return keys


class FrozenCopy:
    """The reference as a model of its own, loaded when something is first missing and let go on demand.

    Args:
        load: reads it, onto the device where it computes.
        dtype: what its forward computes in; the policy's, so that neither is ahead by rounding.
    """

    def __init__(self, load: Callable[[], Trainee], dtype: torch.dtype = torch.float32) -> None:
        self._load = load
        self._dtype = dtype
        self._trainee: Trainee | None = None

    def __call__(self, pack: Pack) -> torch.Tensor:
        """`Nll`."""
        if self._trainee is None:
            self._trainee = self._load().requires_grad_(False).eval()
        return forward(self._trainee, pack, self._dtype)

    def free(self) -> None:
        """Give its memory back; a later miss loads it again."""
        self._trainee = None


def without_adapter(
    trainee: nn.Module,
    reference_mode: Callable[[], AbstractContextManager[object]],
    dtype: torch.dtype = torch.float32,
) -> Nll:
    """The policy as its own reference: LoRA's, inside a context that turns its adapter off (`without_lora`)."""

    def nll(pack: Pack) -> torch.Tensor:
        with reference_mode():
            return forward(trainee, pack, dtype)

    return nll


def forward(trainee: nn.Module, pack: Pack, dtype: torch.dtype) -> torch.Tensor:
    """float32 [supervised], computed where the model lies, in bfloat16 under autocast as in training."""
    device = next(trainee.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        return trainee(pack.to(device))


def fingerprint(model: nn.Module, arithmetic: str) -> str:
    """sha256 of every weight and buffer by name, dtype, shape and bytes, and of what the forward computes in
    (`float32`, or `bfloat16` under autocast), which changes log-probabilities as well.

    Take it of the model as it was loaded, before adapters, sharding and the first step.
    """
    digest = hashlib.sha256(arithmetic.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def sequence_logps(nll_P: torch.Tensor, pack: Pack) -> torch.Tensor:
    """float32 [sequences]: the log-probability of each sequence's supervised tokens together."""
    if not pack.labels:
        return nll_P  # nothing, and part of its graph
    return torch.stack([-part.sum() for part in split_by_sequence(nll_P, pack)])


def split_by_sequence(values_P: torch.Tensor, pack: Pack) -> tuple[torch.Tensor, ...]:
    """What belongs to each sequence, one after another, of values [P] of a pack's supervised positions."""
    return values_P.split(pack.sequences.bincount(minlength=len(pack.labels)).tolist())
