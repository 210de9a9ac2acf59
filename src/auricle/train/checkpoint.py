"""Checkpoints of a run: there whole or not at all, checked before they are believed, old ones taken away last.

OUT/checkpoints/step-000500/: `.metadata` and `*.distcp` (torch.distributed.checkpoint: the parameters that move and
their optimizer state, for any number of ranks to read), state.json (a `Point`) and manifest.json (size and sha256 of
every other file).
"""

import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from auricle.errors import UserError
from auricle.train.distributed import Ranks

Parameters = Mapping[str, nn.Parameter]
"""Those that move, by their published names."""

_NAME = re.compile(r"step-(\d{6,})")
_MANIFEST, _STATE = "manifest.json", "state.json"
_SCRATCH = "."  # begins the name of a checkpoint that is not whole yet, or no longer
_MOMENTS = ("exp_avg", "exp_avg_sq")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Point:
    """Where a run stands beside its tensors. Random numbers are seeded step by step and need no keeping.

    step: steps done. stream: the state of the data after them. refused: where the samples stand that were left out so
    far, each once. recipe: stage and settings, plain values.
    """

    step: int
    stream: dict[str, Any]
    refused: list[str]
    recipe: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run folder; all ranks call every method together."""

    def __init__(self, out: Path, ranks: Ranks, *, keep: int) -> None:
        self._folder, self._ranks, self._keep = out / "checkpoints", ranks, keep

    def newest(self) -> Path | None:
        """The newest whole one; a damaged one is named in a warning and passed over."""
        self._on_first(self._folder, self._take_leftovers_away)
        for path in reversed(self._all()):
            problem = next(filter(None, self._ranks.gather(self._problem(path))), None)
            if problem is None:
                return path
            if self._ranks.is_first:
                warnings.warn(f"{path} is damaged ({problem}) and passed over", stacklevel=2)
        return None

    def restore(self, path: Path, parameters: Parameters, optimizer: torch.optim.Optimizer) -> None:
        """Fill parameters and optimizer, whatever shards they lie in here, from whatever shards they were saved."""
        import torch.distributed.checkpoint as dcp

        stored = dcp.FileSystemReader(path).read_metadata().state_dict_metadata
        for name, parameter in parameters.items():
            if f"optimizer.{name}.step" in stored:
                step = torch.zeros((), dtype=torch.float32, device=parameter.device)
                optimizer.state[parameter] = {"step": step, **{name: torch.zeros_like(parameter) for name in _MOMENTS}}
        with _one_process_is_meant():
            dcp.load(_tensors(parameters, optimizer), checkpoint_id=path, no_dist=self._ranks.size == 1)

    def write(self, point: Point, parameters: Parameters, optimizer: torch.optim.Optimizer) -> None:
        """One more; then the oldest beyond `keep` go.

        Raises:
            UserError: it could not be written, for lack of space or otherwise; the earlier ones are as they were.
        """
        final = self._folder / f"step-{point.step:06d}"
        scratch = self._folder / f"{_SCRATCH}{final.name}"
        tensors = _tensors(parameters, optimizer)
        try:
            self._on_first(final, lambda: _begin(scratch, _num_bytes(tensors)))
            self._save(final, scratch, tensors)
            self._on_first(final, lambda: _write_json(scratch / _STATE, dataclasses.asdict(point)))
            digests = self._ranks.gather({path.name: _digest(path) for path in self._share(scratch)})
            manifest = {name: digest for part in digests for name, digest in part.items()}
            self._on_first(final, lambda: _publish(scratch, final, manifest))
        finally:
            if self._ranks.is_first:
                shutil.rmtree(scratch, ignore_errors=True)
        self._on_first(final, lambda: self._prune(point.step))

    def _save(self, final: Path, scratch: Path, tensors: dict[str, Any]) -> None:
        import torch.distributed.checkpoint as dcp

        try:
            with _one_process_is_meant():
                dcp.save(tensors, checkpoint_id=scratch, no_dist=self._ranks.size == 1)
        except dcp.CheckpointException as error:  # the same on every rank
            (first, _), *_ = error.failures.values()
            raise UserError(_sentence(final, first)) from error

    def _share(self, path: Path) -> list[Path]:
        """The files of a checkpoint that this rank reads."""
        files = sorted(file for file in path.iterdir() if file.name != _MANIFEST)
        return files[self._ranks.rank :: self._ranks.size]

    def _problem(self, path: Path) -> str | None:
        """What is wrong with this rank's share of a checkpoint, if anything."""
        try:
            manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
            missing = manifest.keys() - {file.name for file in path.iterdir()}
            changed = [file.name for file in self._share(path) if manifest.get(file.name) != _digest(file)]
        except (OSError, ValueError, AttributeError) as error:
            return f"{_MANIFEST}: {error}"
        return next((f"{name} is not as it was written" for name in [*sorted(missing), *changed]), None)

    def _all(self) -> list[Path]:
        """Oldest first."""
        found = [(int(match[1]), path) for path in self._folder.iterdir() if (match := _NAME.fullmatch(path.name))]
        return [path for _, path in sorted(found)]

    def _take_leftovers_away(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob(f"{_SCRATCH}step-*"):
            shutil.rmtree(path)

    def _prune(self, step: int) -> None:
        """Those above `step` are damaged, or the run would have gone on from them; they are written anew in time."""
        done = [path for path in self._all() if int(path.name.removeprefix("step-")) <= step]
        for path in done[: -self._keep]:
            gone = path.rename(path.with_name(f"{_SCRATCH}{path.name}"))  # a kill from here on leaves no half of it
            shutil.rmtree(gone)

    def _on_first(self, path: Path, action: Callable[[], None]) -> None:
        """Something that rank 0 does; what goes wrong there is raised on all of them."""
        problem: Exception | None = None
        if self._ranks.is_first:
            try:
                action()
            except OSError as error:
                problem = error
        said = self._ranks.gather(problem and _sentence(path, problem))[0]
        if said is not None:
            raise UserError(said) from problem


def read_point(path: Path) -> Point:
    """The state of a whole checkpoint."""
    return Point(**json.loads((path / _STATE).read_text(encoding="utf-8")))


def _tensors(parameters: Parameters, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    state = {name: optimizer.state[parameter] for name, parameter in parameters.items() if parameter in optimizer.state}
    return {"model": dict(parameters), "optimizer": state}


def _num_bytes(tensors: dict[str, Any]) -> int:
    """Of all ranks together."""
    return sum(_num_bytes(value) if isinstance(value, dict) else value.nbytes for value in tensors.values())


def _begin(scratch: Path, num_bytes: int) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    if shutil.disk_usage(scratch).free < num_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _publish(scratch: Path, final: Path, manifest: dict[str, list[Any]]) -> None:
    _write_json(scratch / _MANIFEST, manifest)
    _sync(scratch)
    if final.exists():
        shutil.rmtree(final)  # damaged, or the run would have gone on from it
    scratch.rename(final)
    _sync(final.parent)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Let the names in a folder reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(path: Path) -> list[Any]:
    """Size and sha256."""
    with path.open("rb") as file:
        return [path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()]


def _sentence(path: Path, error: BaseException) -> str:
    """What kept a checkpoint from being written; the serialiser hides what the system said behind errors of its own."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError):
            error = seen
        seen = seen.__cause__ or seen.__context__
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return (
            f"no space for the checkpoint {path}: earlier ones are as they were; make room and start the same command "
            "again, it goes on from the newest"
        )
    return f"cannot write the checkpoint {path}: {error}; mend that and start the same command again"


@contextmanager
def _one_process_is_meant() -> Iterator[None]:
    """torch warns of a single process without a group; here it is no accident."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
