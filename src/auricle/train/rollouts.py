"""Branched rollouts: many answers to each prompt, judged, the best and the worst kept as a preference."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from auricle.conversation import Answer, Audio, Message, RawPrompt, Sampling
from auricle.data import Preference, Record, Recording
from auricle.data.preferences import check_files, to_line
from auricle.data.source import Make
from auricle.engines import Engine, NativeEngine, Request
from auricle.errors import UserError
from auricle.train.append_only import AppendOnly
from auricle.train.judges import Case, Judge, judge_all
from auricle.train.pairing import NAMED, Drawn, Pair, pair


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """How answers are drawn and which pairs are kept.

    margin: the least difference in the deciding dimension. length_tolerance: the most that a pair's tokens may differ
    by, as a share of the longer answer; None keeps any.
    """

    num: int = 8
    temperature: float = 0.8
    top_p: float = 1.0
    max_new_tokens: int = 256
    margin: float = 0.1
    length_tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num < 2:
            raise UserError(f"a pair needs two rollouts: got {self.num}; draw at least 2 to each prompt")
        if not self.temperature > 0:
            raise UserError(f"rollouts must differ: got temperature {self.temperature}; give one above 0")
        if not 0 <= self.margin <= 1:
            raise UserError(f"the margin between scores must lie in 0 to 1: got {self.margin}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A record as a question: the turns up to the user's last, their recordings, and what answers are judged by."""

    record: Record
    messages: tuple[Message, ...]
    recordings: tuple[Recording, ...]
    case: Case


@dataclass(slots=True)
class RolloutReport:
    """Prompts by what became of them (`kept`, or why not), and the kept ones by dimension; earlier runs included."""

    outcomes: Counter[str] = field(default_factory=Counter)
    dimensions: Counter[str] = field(default_factory=Counter)

    def to_text(self) -> str:
        """For people, a line each."""
        total = self.outcomes.total()
        dropped = [f"  {count:,} dropped: {why}" for why, count in self.outcomes.most_common() if why != "kept"]
        kept = ", ".join(f"{name} {count:,}" for name, count in self.dimensions.most_common())
        return "\n".join([f"{self.outcomes['kept']:,} of {total:,} prompts gave a pair ({kept or 'none'})", *dropped])


def ask(record: Record, make: Make, rng: np.random.Generator) -> Asked:
    """A preference's question as it is; of other records the example that `make` draws, its last answer the reference.

    Raises:
        UserError: as `make`.
    """
    if isinstance(record, Preference):
        return _asked(record, record.messages, record.recordings, record.chosen, record.dimension or "preference")
    [example] = make(record, rng)
    if isinstance(example.prompt, RawPrompt):
        messages = (Message("user", example.prompt.content),)
        return _asked(record, messages, example.recordings, (example.answer or "").strip(), example.task)
    *before, last = example.prompt
    if last.role != "assistant":
        raise UserError(f"{record.where}: the conversation ends with the user's turn; expected an answer to judge by")
    return _asked(record, tuple(before), example.recordings, _text(last), example.task)


def draw(engine: Engine, request: Request, sampling: Sampling, num: int) -> list[Answer]:
    """So many answers to one request; our own engine hears and reads it once."""
    if isinstance(engine, NativeEngine):
        return engine.branch(request, sampling, num)
    return list(engine.generate([request] * num, sampling))


def rollout(
    records: Iterable[Record],
    *,
    engine: Engine,
    model: str,
    make: Make,
    judges: Sequence[tuple[str, Judge]],
    settings: RolloutSettings,
    out: Path,
    done: Callable[[RolloutReport], None] = lambda report: None,
) -> RolloutReport:
    """Append a preference to `out` for every prompt whose answers differ enough, and what became of each prompt to
    `out` with `.seen.jsonl` for its suffix. Prompts that stand there are not drawn again: a killed run goes on.

    Args:
        records: prompts with references.
        engine: draws the answers.
        model: its name, part of what tells prompts that were seen.
        make: a record to its conversation, as stage 2 makes it.
        judges: by dimension, as `judge_all` takes them.
        settings: of draws and pairs.
        out: a preference manifest, which `data validate` and `train dpo` read.
        done: told after every prompt, for a progress bar.

    Raises:
        UserError: a recording lies inside a shard, before anything is drawn; a record or a recording cannot be used, or
            the engine refuses; what was drawn before stands.
    """
    records = list(records)
    check_files(records)
    out.parent.mkdir(parents=True, exist_ok=True)
    report = RolloutReport()
    with AppendOnly(out) as pairs, AppendOnly(out.with_suffix(".seen.jsonl")) as seen:
        known = {line["key"]: line for line in seen.lines}
        known |= {line["rollout"]["key"]: _outcome(line) for line in pairs.lines}  # killed between the two writes
        for record in records:
            key = _key(record, model, settings)
            if key not in known:
                found = _one(record, key, engine, make, judges, settings)
                if isinstance(found, dict):
                    pairs.append(to_line(found["preference"], out.parent, {"rollout": found["rollout"]}))
                    known[key] = _outcome({"rollout": found["rollout"]})
                else:
                    known[key] = {"key": key, "outcome": found}
                seen.append(known[key])
            report.outcomes[known[key]["outcome"]] += 1
            if known[key]["outcome"] == "kept":
                report.dimensions[known[key]["dimension"]] += 1
            done(report)
    return report


def _one(
    record: Record,
    key: str,
    engine: Engine,
    make: Make,
    judges: Sequence[tuple[str, Judge]],
    settings: RolloutSettings,
) -> dict[str, Any] | str:
    """A record's preference and what is told of it, or why it gives none."""
    seed = int(key[:12], 16)  # the draws follow from the record and the settings, in whatever order and run
    asked = ask(record, make, np.random.default_rng(seed))
    sampling = Sampling(
        temperature=settings.temperature, top_p=settings.top_p, max_new_tokens=settings.max_new_tokens, seed=seed
    )
    request = Request(asked.messages, tuple(recording.load() for recording in asked.recordings))
    answers = draw(engine, request, sampling, settings.num)
    texts = [answer.text.strip() for answer in answers]
    drawn = [
        Drawn(text, answer.num_tokens, answer.finish_reason == "stop", verdicts)
        for text, answer, verdicts in zip(texts, answers, judge_all(asked.case, texts, judges), strict=True)
    ]
    found = pair(drawn, margin=settings.margin, length_tolerance=settings.length_tolerance)
    if isinstance(found, str):
        return found
    if not drawn[found.chosen].text or not drawn[found.rejected].text:
        return "an empty answer"
    return {"preference": _preference(asked, drawn, found), "rollout": {"key": key} | _told(drawn, found)}


def _preference(asked: Asked, drawn: Sequence[Drawn], found: Pair) -> Preference:
    return Preference(
        asked.record.where,
        asked.record.id,
        asked.record.source,
        asked.recordings,
        asked.messages,
        drawn[found.chosen].text,
        drawn[found.rejected].text,
        NAMED[found.decision.dimension],
    )


def _told(drawn: Sequence[Drawn], found: Pair) -> dict[str, object]:
    """Scores and reasons of both answers, for whoever reads the manifest."""
    chosen, rejected = drawn[found.chosen], drawn[found.rejected]
    return {
        "decided_by": found.decision.dimension,
        "margin": round(found.decision.margin, 4),
        "tokens": [chosen.num_tokens, rejected.num_tokens],
        "chosen": {name: asdict(verdict) for name, verdict in chosen.verdicts.items()},
        "rejected": {name: asdict(verdict) for name, verdict in rejected.verdicts.items()},
    }


def _outcome(line: Mapping[str, Any]) -> dict[str, str]:
    told = line["rollout"]
    return {"key": told["key"], "outcome": "kept", "dimension": NAMED[told["decided_by"]]}


def _asked(
    record: Record, messages: tuple[Message, ...], recordings: tuple[Recording, ...], reference: str, task: str
) -> Asked:
    users = [message for message in messages if message.role == "user"]
    instruction = _text(users[-1]) if users else ""
    return Asked(record, messages, recordings, Case(instruction, reference, task))


def _text(message: Message) -> str:
    return "".join(part for part in message.content if not isinstance(part, Audio)).strip()


def _key(record: Record, model: str, settings: RolloutSettings) -> str:
    """What tells a prompt that was seen: all of the record but the folders that it and its recordings lie in."""
    named = tuple(replace(recording, path=Path(recording.path.name)) for recording in record.recordings)
    record = replace(record, where="", recordings=named)
    return hashlib.sha256(repr((record, model, settings)).encode()).hexdigest()
