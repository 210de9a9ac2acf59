"""Scores on disk: what a report needs, so that it can be made again without scoring."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from auricle.errors import UserError
from auricle.evaluate.normalise.interface import Pair
from auricle.evaluate.sample import Answered
from auricle.evaluate.scores import RowScores, Scored
from auricle.evaluate.whole_file import write_whole
from auricle.settings import to_tree

_FORMAT = 1
_SCORING = 2  # one more whenever a rule of scoring changes: older scores are then counted again
_LIBRARIES = ("auricle", "whisper-normalizer", "sacrebleu", "zhconv", "rapidfuzz")  # they normalise and count


def fingerprint(answered: Sequence[Answered], *others: str) -> str:
    """sha256 over all that scores follow from: samples, answers, whatever else was taken into account, the rules."""
    rules = [_FORMAT, _SCORING, *((name, _version(name)) for name in _LIBRARIES)]
    digest = hashlib.sha256(json.dumps(rules).encode())
    for item in answered:
        digest.update(json.dumps(to_tree(item)).encode())  # ASCII: file names need not be UTF-8
    for other in others:
        digest.update(b"\0" + json.dumps(other).encode())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def write_scores(folder: Path, scores: Sequence[RowScores], made_from: str) -> None:
    """FOLDER/scores.json, the figures, and FOLDER/scored.jsonl, one line for each answer in each mode.

    Raises:
        UserError: they cannot be written.
    """
    with _sentence(folder):
        scratch = folder / ".scored.jsonl.new"
        with scratch.open("w", encoding="utf-8") as file:
            for row in scores:
                for scored in row.answers:
                    print(json.dumps(_line(row, scored)), file=file)
        scratch.replace(folder / "scored.jsonl")
        rows = [to_tree(dataclasses.replace(row, answers=())) for row in scores]
        whole = json.dumps({"format": _FORMAT, "made_from": made_from, "rows": rows}, indent=1)
        write_whole(folder / "scores.json", whole + "\n")


def read_scores(folder: Path, answered: Sequence[Answered], made_from: str) -> list[RowScores] | None:
    """What `write_scores` wrote; None where there is nothing, or it was made from other answers.

    Args:
        folder: of the run.
        answered: its answers, which the lines refer to by source and id.
        made_from: the fingerprint that the scores must have.
    """
    try:
        whole = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        if whole["format"] != _FORMAT or whole["made_from"] != made_from:
            return None
        rows = [_built(RowScores, row) for row in whole["rows"]]
        answers = _read_lines(folder, answered)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return [dataclasses.replace(row, answers=tuple(answers.get((row.row, row.mode), ()))) for row in rows]


def _read_lines(folder: Path, answered: Sequence[Answered]) -> dict[tuple[str, str], list[Scored]]:
    by_name = {(item.sample.source, item.sample.id): item for item in answered}
    found: dict[tuple[str, str], list[Scored]] = {}
    with (folder / "scored.jsonl").open(encoding="utf-8") as file:
        for line in map(json.loads, file):
            pair = Pair(tuple(line["reference"]), tuple(line["answer"]))
            scored = Scored(by_name[line["source"], line["id"]], pair, line["error"], tuple(line["flags"]))
            found.setdefault((line["row"], line["mode"]), []).append(scored)
    return found


def _line(row: RowScores, scored: Scored) -> dict[str, Any]:
    sample = scored.answered.sample
    return {
        "row": row.row,
        "mode": row.mode,
        "source": sample.source,
        "id": sample.id,
        "reference": scored.pair.reference,
        "answer": scored.pair.answer,
        "error": scored.error,
        "flags": scored.flags,
    }


def _built(hint: Any, tree: Any) -> Any:
    """What `to_tree` took apart, put together by its annotation; NaN stays NaN, as settings would not have it."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        return hint(**{name: _built(hints[name], value) for name, value in tree.items()})
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if kinds[-1] is Ellipsis:
            return tuple(_built(kinds[0], item) for item in tree)
        return tuple(_built(kind, item) for kind, item in zip(kinds, tree, strict=True))
    return tree


@contextmanager
def _sentence(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write scores into {folder}: {error.strerror}; make room, or mend its rights"
        ) from error
