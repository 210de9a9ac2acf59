"""A run folder belongs to one run, of one recipe, in one process at a time."""

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from auricle.errors import UserError
from auricle.train.settings import Recipe
from auricle.train.stage import StageName

_MAY_CHANGE = (  # what does not change what is learnt
    *("out", "device", "checkpointing", "save.", "watch.", "dpo.cache"),
    *("data.num_workers", "data.max_refused", "data.heldout"),
)


def plain_recipe(stage: StageName, recipe: Recipe) -> dict[str, Any]:
    """Stage and settings in values that JSON has."""
    return json.loads(json.dumps({"stage": stage, **dataclasses.asdict(recipe)}, default=str))


def check_same(out: Path, stored: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise UserError where a run would go on with other settings than it began with, naming them."""
    before, after = dict(_flat(stored)), dict(_flat(now))
    changed = [
        f"{key} was {before.get(key)}, is {after.get(key)}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key) and not key.startswith(_MAY_CHANGE)
    ]
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise UserError(
            f"{out} holds a run with other settings: {'; '.join(changed[:5])}{more}; keep them to go on with it, or "
            "name another folder with out=DIR"
        )


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep a folder to this process; a process that ends, however it ends, lets go of it.

    Raises:
        UserError: another process has it, or it cannot be written.
    """
    import fcntl

    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / ".lock").open("a+")
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; name another folder with out=DIR") from error
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not inherited by workers that outlive us
        except OSError as error:
            file.seek(0)
            raise UserError(
                f"{out} is in use by another run (process {file.read().strip()}); wait for it, or name another folder "
                "with out=DIR"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _flat(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Nested dictionaries and lists -> (`data.train.0.path`, value)."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else None
    if not items:  # a plain value, or nothing in it
        yield key, values
        return
    for name, value in items:
        yield from _flat(value, f"{key}.{name}" if key else str(name))
