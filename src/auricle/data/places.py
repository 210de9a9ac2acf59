"""Which recordings a line names, in which places they are heard, and how long they are said to be."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from auricle.data.records import Recording
from auricle.data.spelling import shown
from auricle.data.turns import Turn, with_places
from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a line stands: `where` for messages, the data set's name, a task for lines that name none.

    find: what a recording's name in the line stands for. beside: the recordings of a line that names none.
    """

    where: str
    source: str
    find: Callable[[str], Recording]
    task: str | None = None
    beside: tuple[Recording, ...] = ()


def in_folder(folder: Path) -> Callable[[str], Recording]:
    """Names of recordings as paths, relative ones from the folder."""

    def find(name: str) -> Recording:
        if "://" in name:
            raise UserError(
                f"the recording {shown(name)} is an address, which is not fetched; download it, name the file"
            )
        return Recording(folder / name)

    return find


def listed(fields: Mapping[str, object], key: str, origin: Origin) -> tuple[Recording, ...]:
    """The recordings that the line lists under a key, in order."""
    value = fields.get(key, [])
    return tuple(origin.find(_path(name, key)) for name in (value if isinstance(value, list) else [value]))


def _path(value: object, key: str) -> str:
    name = value.get("path") if isinstance(value, dict) else value  # Hugging Face writes {"path": ..., "bytes": null}
    if not isinstance(name, str) or not name:
        raise UserError(f"`{key}` names the recording {shown(name)}; expected a path, or a list of paths")
    return name


def heard(turns: list[Turn], listed: tuple[Recording, ...], origin: Origin) -> tuple[list[Turn], tuple[Recording, ...]]:
    """The turns with a place for every recording, and the recordings in the order of the places."""
    names = [name for turn in turns for name in turn.names]
    if not listed and not any(names):
        listed = origin.beside
    if listed and not names:
        turns, names = with_places(turns, len(listed)), [None] * len(listed)
    if names.count(None) != len(listed):
        raise UserError(
            f"{names.count(None)} places `<audio>` and {len(listed)} recordings; expected one recording for each place"
        )
    waiting = iter(listed)
    return turns, tuple(next(waiting) if name is None else origin.find(name) for name in names)


def timed(recordings: tuple[Recording, ...], fields: Mapping[str, object]) -> tuple[Recording, ...]:
    """The recordings with their stated durations."""
    if "duration_s" not in fields:
        return recordings
    value = fields["duration_s"]
    durations = value if isinstance(value, list) else [value]
    numbers = [number for number in durations if isinstance(number, int | float) and 0 < number < math.inf]
    if len(numbers) != len(durations) or len(numbers) != len(recordings):
        raise UserError(
            f"`duration_s` is {shown(value)} for {len(recordings)} recordings; expected seconds above 0 for each"
        )
    return tuple(replace(recording, duration_s=s) for recording, s in zip(recordings, map(float, numbers), strict=True))
