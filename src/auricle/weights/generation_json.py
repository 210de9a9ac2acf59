"""generation_config.json: what ends an answer, and how a checkpoint is answered with unless the user says otherwise.

Read as transformers 5.23 reads it (generation/configuration_utils.py). Keys that we do not know are ignored;
`max_length`, which counts the prompt, gives way to `max_new_tokens`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.weights.json_file import read_json

FILE_NAME = "generation_config.json"
# What transformers samples with where the file is silent (GenerationConfig._get_default_generation_params).
_SILENT: dict[str, float] = {"temperature": 1.0, "top_k": 50}
_SAMPLED = {"temperature": float, "top_k": int, "top_p": float, "min_p": float}  # heard only with do_sample
_ALWAYS = {
    "repetition_penalty": float,
    "num_beams": int,
    "length_penalty": float,
    "min_new_tokens": int,
    "max_new_tokens": int,
}


@dataclass(frozen=True, slots=True)
class Generation:
    """The ids that end an answer, the id that fills a batch, and how the next token is chosen."""

    stop_ids: frozenset[int]
    pad_id: int | None
    sampling: Sampling


def read_generation(directory: Path) -> Generation:
    """What the directory's generation_config.json says; without such a file no ids, and greedy.

    Raises:
        UserError: a value of another type or out of its range; the message names the file and the key.
    """
    path = directory / FILE_NAME
    contents = {key: value for key, value in _contents(path).items() if value is not None}
    try:
        return Generation(_stop_ids(contents), _pad_id(contents), _sampling(contents))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _contents(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _stop_ids(contents: dict[str, Any]) -> frozenset[int]:
    stop = contents.get("eos_token_id", [])
    ids = stop if isinstance(stop, list) else [stop]
    return frozenset(_number("eos_token_id", token_id, int) for token_id in ids)


def _pad_id(contents: dict[str, Any]) -> int | None:
    return _number("pad_token_id", contents["pad_token_id"], int) if "pad_token_id" in contents else None


def _sampling(contents: dict[str, Any]) -> Sampling:
    samples = contents.get("do_sample", False)
    if not isinstance(samples, bool):
        raise UserError(f"do_sample is {samples!r}, expected true or false")
    values = (_SILENT if samples else {}) | contents
    heard = _ALWAYS | (_SAMPLED if samples else {})
    numbers = {key: _number(key, values[key], kind) for key, kind in heard.items() if key in values}
    return Sampling(**numbers, stop=_stop_texts(contents))


def _stop_texts(contents: dict[str, Any]) -> tuple[str, ...]:
    stop = contents.get("stop_strings", [])
    texts = [stop] if isinstance(stop, str) else stop
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise UserError(f"stop_strings is {stop!r}, expected a list of texts that are not empty")
    return tuple(texts)


def _number(key: str, value: Any, kind: type) -> Any:
    """`value` where it is a number of that kind; a whole number is a float too."""
    allowed = (int, float) if kind is float else (int,)
    if isinstance(value, bool) or not isinstance(value, allowed):
        raise UserError(f"{key} is {value!r}, expected a {'whole ' if kind is int else ''}number")
    return kind(value)
