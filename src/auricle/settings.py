"""Frozen dataclasses filled from defaults, then a yaml file, then `key=value`; what is unknown is named."""

import dataclasses
import difflib
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from auricle.errors import UserError

T = TypeVar("T")
_ALIKE = 0.7  # of the letters; at 0.67 lr would be taken for lora
_MOST_NEAR = 3


def read_settings(defaults: T, file: Path | None = None, overrides: Sequence[str] = ()) -> T:
    """The defaults with what the file says, then with every override in its place.

    Args:
        defaults: a frozen dataclass, which may hold others, tuples of them, and None where one may stand.
        file: a yaml mapping; its keys are the fields' names.
        overrides: `optimizer.clip=0.5`, each value as yaml writes it; `phases.0.until=0.3` is the first of a tuple.

    Raises:
        UserError: the file cannot be read, or a key or a value fits no field; the message names the nearest key.
    """
    if file is not None:
        defaults = changed(defaults, _read(file), str(file))
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise UserError(f"{override!r} is no setting; expected key=value, for example optimizer.clip=0.5")
        tree: Any = _parse(value, override)
        for name in reversed(key.split(".")):
            tree = {name: tree}
        defaults = changed(defaults, tree, override)
    return defaults


def changed(settings: T, tree: Any, where: str) -> T:
    """The settings with the values of a nested mapping in their places; `where` is for messages."""
    return _changed(settings, tree, _Where(where, type(settings)), "")


def names(kind: type, path: str = "") -> dict[str, Any]:
    """Every dotted name of a settings class and its annotation; `0` stands for any entry of a tuple."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        found |= _below(hint, f"{path}{name}")
    return found


def annotation(kind: type, key: str) -> Any:
    """That of the setting with a dotted name; None where there is none."""
    return names(kind).get(re.sub(r"\.\d+", ".0", key))


def nearest(known: Iterable[str], key: str) -> list[str]:
    """The names that a misspelt one is most like, by themselves or by their last parts; none where none is near."""
    scores = {name: _likeness(name, key) for name in known if not name.endswith(".0")}
    best = max(scores.values())
    return [name for name in scores if scores[name] == best][:_MOST_NEAR] if best[0] >= _ALIKE else []


def to_tree(settings: Any) -> Any:
    """Plain mappings, lists, numbers and texts, as a yaml or json file holds them; `changed` reads them back."""
    if dataclasses.is_dataclass(settings):
        return {field.name: to_tree(getattr(settings, field.name)) for field in dataclasses.fields(settings)}
    if isinstance(settings, tuple):
        return [to_tree(item) for item in settings]
    return str(settings) if isinstance(settings, Path) else settings


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """The dotted keys in which two trees of `to_tree` differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = dict.fromkeys([*one, *other])
        return [key for name in keys for key in differences(one.get(name), other.get(name), f"{path}{name}.")]
    return [] if one == other else [path.rstrip(".")]


@dataclasses.dataclass(frozen=True)
class _Where:
    """What is read, for messages, and the class of the whole settings, among whose names a misspelt one is sought."""

    text: str
    kind: type

    def __str__(self) -> str:
        return self.text


def _below(hint: Any, name: str) -> dict[str, Any]:
    """The setting of an annotation, and those inside it."""
    found: dict[str, Any] = {}
    if get_origin(hint) in (Union, types.UnionType):
        for one in get_args(hint):
            found |= _below(one, name)
    elif get_origin(hint) is tuple:
        found = _below(get_args(hint)[0], f"{name}.0")
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        found = names(hint, f"{name}.")
    return found | {name: hint}


def _likeness(name: str, key: str) -> tuple[float, float]:
    """Of the last parts, then, in a dotted key, of the whole; a key without dots may be like either."""
    pairs = (name.rpartition(".")[2], key.rpartition(".")[2]), (name, key)
    last, whole = (difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)
    return (last, whole) if "." in key else (max(last, whole), 0.0)


def _changed(settings: T, tree: Any, where: _Where, path: str) -> T:
    hints = get_type_hints(type(settings))
    values = {}
    for key, value in _mapping(tree, where, path).items():
        full = f"{path}{key}"
        if key not in hints:
            near = nearest(names(where.kind), full)
            hint = (
                f"did you mean {' or '.join(near)}?" if near else f"expected {', '.join(path + name for name in hints)}"
            )
            raise UserError(f"{where}: unknown setting {full}; {hint}")
        values[key] = _fit(hints[key], value, getattr(settings, key), where, full)
    return dataclasses.replace(settings, **values)  # type: ignore[type-var]


def _read(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the settings {file}: {error}; check the path") from error
    return _parse(text, str(file)) or {}


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{where} is not valid yaml: {' '.join(str(error).split())}") from error


def _mapping(tree: Any, where: _Where, path: str) -> Mapping[str, Any]:
    if not isinstance(tree, Mapping):
        raise UserError(f"{where}: {path.rstrip('.') or 'the settings'} is {tree!r}; expected keys with values")
    return tree


def _fit(hint: Any, value: Any, before: Any, where: _Where, path: str) -> Any:
    """The value as its annotation wants it."""
    if get_origin(hint) in (Union, types.UnionType):
        return _fit_one_of(get_args(hint), value, before, where, path)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        start = before if isinstance(before, hint) else _start(hint, value, where, path)
        return _changed(start, value, where, f"{path}.")
    if get_origin(hint) is tuple:
        return _fit_tuple(get_args(hint), value, before, where, path)
    fitted = _plain(hint, value)
    if fitted is None:
        raise UserError(f"{where}: {path} is {value!r}; expected {_name(hint)}")
    return fitted


def _fit_one_of(hints: tuple[Any, ...], value: Any, before: Any, where: _Where, path: str) -> Any:
    if value is None and types.NoneType in hints:
        return None
    problems = []
    for hint in hints:
        if hint is not types.NoneType:
            try:
                return _fit(hint, value, before, where, path)
            except UserError as error:
                problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    raise UserError(f"{where}: {path} is {value!r}; expected {' or '.join(_name(hint) for hint in hints)}")


def _fit_tuple(hints: tuple[Any, ...], value: Any, before: Any, where: _Where, path: str) -> tuple[Any, ...]:
    if isinstance(value, Mapping):  # phases.0.until=0.3
        items = list(before or ())
        for key, item in value.items():
            if not str(key).isdigit() or int(key) >= len(items):
                raise UserError(f"{where}: {path}.{key} does not exist; {path} has {len(items)} entries, from 0")
            items[int(key)] = _fit(hints[0], item, items[int(key)], where, f"{path}.{key}")
        return tuple(items)
    if hints[-1:] == (...,):
        if not isinstance(value, list | tuple):
            raise UserError(f"{where}: {path} is {value!r}; expected a list")
        return tuple(_fit(hints[0], item, None, where, f"{path}.{i}") for i, item in enumerate(value))
    if not isinstance(value, list | tuple) or len(value) != len(hints):
        raise UserError(f"{where}: {path} is {value!r}; expected a list of {len(hints)}")
    return tuple(
        _fit(hint, item, None, where, f"{path}.{i}") for i, (hint, item) in enumerate(zip(hints, value, strict=True))
    )


def _start(kind: type, value: Any, where: _Where, path: str) -> Any:
    """An instance to change where none stands yet: its fields without a default must be given."""
    given = _mapping(value, where, f"{path}.")
    required = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    for name in required:
        if name not in given:
            raise UserError(f"{where}: {path} lacks {name}; expected {', '.join(required)}")
    hints = get_type_hints(kind)
    return kind(**{name: _fit(hints[name], given[name], None, where, f"{path}.{name}") for name in required})


def _plain(hint: Any, value: Any) -> Any:
    """The value as a plain type, None where it is none. yaml reads 1e-4 as a text: a number all the same."""
    if get_origin(hint) is Literal:
        return value if value in get_args(hint) and not isinstance(value, bool) else None
    if hint is bool or isinstance(value, bool):
        return value if hint is bool and isinstance(value, bool) else None
    if hint is str:
        return value if isinstance(value, str) else None
    if hint is Path:
        return Path(value).expanduser() if isinstance(value, str | Path) and str(value) else None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if hint is int:
        return int(number) if number.is_integer() else None
    return number if number == number and abs(number) != float("inf") else None


def _name(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path"}
    return names.get(hint, "nothing" if hint is types.NoneType else getattr(hint, "__name__", str(hint)))
