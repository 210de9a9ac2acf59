"""What a judge said of a run's chats, in its folder, for scoring to read."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from auricle.content_cache import ContentCache
from auricle.engines import Engine
from auricle.errors import UserError
from auricle.evaluate.judge import Judged, Scores, judge
from auricle.evaluate.run_folder import RunFolder
from auricle.evaluate.sample import Answered
from auricle.evaluate.whole_file import write_whole

_FILE = "judged.json"


@dataclass(frozen=True, slots=True)
class Judgement:
    """All of a run that was judged. name, temperature: the judge's."""

    name: str
    temperature: float
    judged: tuple[Judged, ...]


def judge_folder(
    path: Path, engine: Engine, *, name: str, temperature: float = 0.0, watch: Callable[[int, int], None] | None = None
) -> Judgement:
    """Have the chats of a run judged; DIR/judge.sqlite keeps every reply at once, DIR/judged.json the scores.

    Args:
        path: of `auricle eval run --out`.
        engine: the judge.
        name: the judge's.
        temperature: of the judge; 0 is greedy.
        watch: told how many messages of how many have been dealt with.

    Raises:
        UserError: no run there, none of its answers is for a judge, or the judge refused five times in a row.
    """
    answered = [item for item in RunFolder(path).answered() if item.sample.task == "chat"]
    if not answered:
        raise UserError(
            f"{path} has no answers for a judge; expected those to AIR-Bench's chats: `auricle eval run airbench`"
        )
    cache = ContentCache(path / "judge.sqlite")
    try:
        judged = judge(answered, engine, name=name, cache=cache, temperature=temperature, watch=watch)
    finally:
        cache.close()
    found = Judgement(name, temperature, tuple(judged))
    try:
        write_whole(path / _FILE, json.dumps(_to_json(found), indent=1) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path / _FILE}: {error.strerror}; make room and judge again") from error
    return found


def read_judgement(path: Path, answered: Sequence[Answered]) -> Judgement | None:
    """What was judged of these answers; None where nothing was. An answer that has changed since is left out.

    Raises:
        UserError: the file is damaged.
    """
    try:
        whole = json.loads((path / _FILE).read_text(encoding="utf-8"))
        known = {(line["source"], line["id"], line["answer"]): line for line in whole["judged"]}
        judged = []
        for item in answered:
            if (line := known.get((item.sample.source, item.sample.id, item.text))) is not None:
                judged.append(Judged(item, _scores(line["after"]), _scores(line["before"])))
        return Judgement(whole["name"], whole["temperature"], tuple(judged))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path / _FILE} is damaged: {error}; delete it and judge again, the replies are kept"
        ) from error


def _to_json(found: Judgement) -> dict[str, object]:
    lines = [
        {
            "source": item.answered.sample.source,
            "id": item.answered.sample.id,
            "answer": item.answered.text,
            "after": None if item.after is None else asdict(item.after),
            "before": None if item.before is None else asdict(item.before),
        }
        for item in found.judged
    ]
    return {"name": found.name, "temperature": found.temperature, "judged": lines}


def _scores(found: dict[str, int] | None) -> Scores | None:
    return None if found is None else Scores(**found)
