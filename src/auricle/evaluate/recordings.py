"""Where the recordings that a list names lie on this machine."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

from auricle.data.reading import is_recording
from auricle.errors import UserError
from auricle.evaluate.sample import Sample

_NAMED = 3  # examples in a message
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SEPARATORS = re.compile(r"[\\/]+")


def locate(names: Sequence[str], root: Path | None, list_path: Path) -> list[Path]:
    """The paths, or http(s) addresses, of a list as files.

    Without a root, a path is taken as it is given and not looked for. With one, it is looked for as it is given, then
    under the root: the file that shares the longest end of the path with it; where no file has its name, one that
    differs in its ending alone (`x.flac` for `x.wav`). The root is walked once.

    Raises:
        UserError: recordings are missing (all are counted, the first named), several fit one name equally well, or a
            list names addresses and no root is given.
    """
    if root is None:
        _refuse_addresses(names, list_path)
        return [Path(name) for name in names]
    if not root.is_dir():
        raise UserError(f"the audio root {root} is no folder; give the one that holds the recordings of {list_path}")
    wanted = [name for name in names if _ADDRESS.match(name) or not Path(name).is_file()]
    found = _under(root, wanted)
    missing = [name for name in wanted if name not in found]
    if missing:
        advice = "download them there" if _ADDRESS.match(missing[0]) else "give the folder that holds them"
        raise UserError(
            f"{len(missing)} of {len(names)} recordings of {list_path} are neither where it says nor under {root}, "
            f"such as {some(missing)}; {advice}"
        )
    return [found[name] if name in found else Path(name) for name in names]


def require_recordings(samples: Sequence[Sample]) -> None:
    """Refuse samples whose recordings are not there.

    Raises:
        UserError: files are missing; all are counted, the first named.
    """
    missing = [str(sample.audio) for sample in samples if not sample.audio.is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(samples)} recordings are not there, such as {some(missing)}; put them back, or "
            "give the folder that holds them as the audio root"
        )


def some(names: Sequence[str]) -> str:
    """The first few, for a message."""
    return ", ".join(names[:_NAMED])


def _refuse_addresses(names: Sequence[str], list_path: Path) -> None:
    addresses = [name for name in names if _ADDRESS.match(name)]
    if addresses:
        raise UserError(
            f"{list_path} names {len(addresses)} recordings by address, such as {some(addresses)}; download them and "
            "give their folder as the audio root"
        )


def _parts(name: str) -> tuple[str, ...]:
    path = unquote(urlsplit(name).path) if _ADDRESS.match(name) else name
    return tuple(part for part in _SEPARATORS.split(path) if part)


def _under(root: Path, names: Iterable[str]) -> dict[str, Path]:
    """Names -> files, of those that are found."""
    parts_of = {name: parts for name in names if (parts := _parts(name))}
    index: dict[str, list[tuple[str, ...]]] = {PurePath(parts[-1]).stem: [] for parts in parts_of.values()}
    for directory, _, files in os.walk(root, followlinks=True):
        above = Path(directory).relative_to(root).parts
        for file in files:
            places = index.get(PurePath(file).stem)
            if places is not None and is_recording(file):
                places.append((*above, file))
    return {
        name: root.joinpath(*place)
        for name, parts in parts_of.items()
        if (place := _best(name, parts, index[PurePath(parts[-1]).stem], root))
    }


def _best(name: str, parts: tuple[str, ...], places: list[tuple[str, ...]], root: Path) -> tuple[str, ...] | None:
    """The place that shares the longest end with the name; of several, the one that shares all of it."""
    places = [place for place in places if place[-1] == parts[-1]] or places
    shared = {place: _shared(parts, place) for place in places}
    best = [place for place in places if shared[place] == max(shared.values())]
    whole = [place for place in best if shared[place] == len(place)]
    if len(best) > 1 and len(whole) != 1:
        first, second = sorted(best)[:2]
        raise UserError(
            f"{name} may be {root.joinpath(*first)} or {root.joinpath(*second)}; give a root that holds one of them"
        )
    return next(iter(whole or best), None)


def _shared(parts: tuple[str, ...], place: tuple[str, ...]) -> int:
    """How many parts the ends have in common, the name itself (with whatever ending) always."""
    count = 1
    for ours, theirs in zip(parts[-2::-1], place[-2::-1], strict=False):
        if ours != theirs:
            break
        count += 1
    return count
