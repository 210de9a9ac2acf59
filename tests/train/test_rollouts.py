"""Rollouts: what records ask, manifests that training reads, and a killed run that goes on."""

import errno
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scripted import Scripted

from auricle.conversation import Answer, Audio, Message, RawPrompt, Sampling
from auricle.data import Dialogue, Example, Group, Labelled, Preference, Record, Recording
from auricle.data.manifest import open_records
from auricle.data.modes import sft_make
from auricle.data.prompts import read_bank
from auricle.engines import NativeEngine, Request
from auricle.errors import UserError
from auricle.train.judges import Case, Judge, Verdict, each, verifiable
from auricle.train.rollouts import RolloutReport, RolloutSettings, ask, draw, rollout
from auricle.weights import Checkpoint

RNG = np.random.default_rng


def no_make(record: Record, rng: np.random.Generator) -> Group:
    raise AssertionError("not called")


def test_what_records_ask():
    recordings = (Recording(Path("a.wav")),)
    first, second = Message("user", (Audio(), "What is said?")), Message("user", ("Sure?",))
    preference = Preference("m:1", "1", "s", recordings, (first,), "Yes.", "No.", "safety")
    asked = ask(preference, no_make, RNG(0))
    assert (asked.messages, asked.case) == ((first,), Case("What is said?", "Yes.", "safety"))

    make = sft_make(read_bank())
    turns = (first, Message("assistant", ("Rain.",)), second, Message("assistant", ("Quite sure.",)))
    asked = ask(Dialogue("m:2", "2", "s", recordings, turns), make, RNG(0))
    assert asked.messages == turns[:-1]
    assert (asked.case.instruction, asked.case.reference) == ("Sure?", "Quite sure.")

    asked = ask(Labelled("m:3", "3", "s", recordings, "asr", "Hello."), make, RNG(0))
    assert (asked.case.task, asked.case.reference) == ("asr", "Hello.")
    [message] = asked.messages
    assert message.content == (Audio(), asked.case.instruction)

    def raw(record: Record, rng: np.random.Generator) -> Group:
        return (Example(RawPrompt((Audio(), "Listen:")), " Hi.", recordings, "m:4", "s", "asr"),)

    asked = ask(Labelled("m:4", "4", "s", recordings, "asr", "Hi."), raw, RNG(0))
    assert asked.messages == (Message("user", (Audio(), "Listen:")),)
    assert asked.case == Case("Listen:", "Hi.", "asr")

    def open_end(record: Record, rng: np.random.Generator) -> Group:
        return (Example((first,), None, recordings, "m:5", "s", "asr"),)

    with pytest.raises(UserError, match="m:5: the conversation ends with the user's turn"):
        ask(Labelled("m:5", "5", "s", recordings, "asr", "Hi."), open_end, RNG(0))


def test_settings_that_make_no_pairs():
    with pytest.raises(UserError, match="a pair needs two rollouts: got 1"):
        RolloutSettings(num=1)
    with pytest.raises(UserError, match="rollouts must differ: got temperature 0"):
        RolloutSettings(temperature=0)
    with pytest.raises(UserError, match=r"the margin between scores must lie in 0 to 1: got 2"):
        RolloutSettings(margin=2)


SETTINGS = RolloutSettings(num=6, temperature=1.2, max_new_tokens=12, margin=0.05)
JUDGES: list[tuple[str, Judge]] = [("factual", each(lambda case, text: Verdict(text.count("e") / (len(text) + 1), "")))]


class Watched(NativeEngine):
    """Our engine, counting prompts."""

    num_branched = 0

    def branch(self, request: Request, sampling: Sampling, num: int) -> list[Answer]:
        self.num_branched += 1
        return super().branch(request, sampling, num)


@pytest.fixture
def engine(checkpoint: Checkpoint) -> Watched:
    """Answers of the tiny model end nearly at once or never: any of many ids may end one."""
    return Watched(replace(checkpoint, stop_ids=checkpoint.stop_ids | set(range(60, 100))))


@pytest.fixture
def records(recordings: list[Path]) -> list[Labelled]:
    return [
        Labelled(f"m:{n}", f"clip {n}", "data", (Recording(recordings[n % 3]),), "asr", f"text {n}") for n in range(9)
    ]


@pytest.fixture
def run(engine: Watched) -> Callable[..., RolloutReport]:
    make = sft_make(read_bank())

    def start(records: Iterable[Record], out: Path, **changed: object) -> RolloutReport:
        given = {"model": "tiny", "settings": SETTINGS, "judges": JUDGES} | changed
        return rollout(records, engine=engine, make=make, out=out, **given)  # type: ignore[arg-type]

    return start


def test_recordings_in_a_shard_are_refused_before_anything_is_drawn(
    records: list[Labelled], run: Callable[..., RolloutReport], engine: Watched, tmp_path: Path
):
    out = tmp_path / "new" / "pairs.jsonl"
    inside = replace(records[-1], recordings=(Recording(tmp_path / "s.tar", 512, 99),))
    with pytest.raises(UserError, match="m:8: the recording lies inside a shard, which a line cannot name; unpack"):
        run(iter([*records[:-1], inside]), out)
    assert engine.num_branched == 0
    assert not out.parent.exists()


def test_pairs_become_a_manifest_that_training_reads(
    records: list[Labelled], run: Callable[..., RolloutReport], tmp_path: Path
):
    seen: list[int] = []
    out = tmp_path / "new" / "pairs.jsonl"
    report = run(records, out, done=lambda report: seen.append(report.outcomes.total()))
    assert seen == list(range(1, 10))
    assert report.outcomes.total() == 9
    pairs = list(open_records(out))
    assert 3 <= len(pairs) == report.outcomes["kept"] == report.dimensions["factual"]
    by_id = {record.id: record for record in records}
    for line, preference in zip(out.read_text().splitlines(), pairs, strict=True):
        assert isinstance(preference, Preference)
        told = json.loads(line)["rollout"]
        assert preference.recordings[0].path == by_id[preference.id].recordings[0].path
        assert preference.dimension == "factual"
        assert told["chosen"]["factual"]["score"] - told["rejected"]["factual"]["score"] >= 0.05
        assert told["chosen"]["factual"]["score"] == preference.chosen.count("e") / (len(preference.chosen) + 1)
    assert f"{len(pairs)} of 9 prompts gave a pair (factual {len(pairs)})" in report.to_text()


def test_a_killed_run_goes_on_and_ends_the_same(
    records: list[Labelled], run: Callable[..., RolloutReport], engine: Watched, tmp_path: Path
):
    """Killed after four prompts, after a pair was written and before it was noted, and amid a line."""
    whole = run(records, tmp_path / "whole.jsonl")
    expected = (tmp_path / "whole.jsonl").read_text()

    def killed(report: RolloutReport) -> None:
        if report.outcomes["kept"] == 2:
            raise KeyboardInterrupt

    out, seen = tmp_path / "killed.jsonl", tmp_path / "killed.seen.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(records, out, done=killed)
    lines = seen.read_text().splitlines(keepends=True)
    assert '"outcome": "kept"' in lines[-1]
    seen.write_text("".join(lines[:-1]) + lines[-1][:20])
    out.write_text(out.read_text() + '{"id": "clip 8", "mess')
    engine.num_branched = 0
    again = run(records, out)
    assert out.read_text() == expected
    assert (again.outcomes, again.dimensions) == (whole.outcomes, whole.dimensions)
    assert engine.num_branched == len(records) - len(lines)
    run(records, out)
    assert engine.num_branched == len(records) - len(lines)  # all seen
    assert out.read_text() == expected


def test_other_settings_or_another_model_draw_anew(
    records: list[Labelled], run: Callable[..., RolloutReport], engine: Watched, tmp_path: Path
):
    run(records[:2], tmp_path / "a.jsonl")
    run(records[:2], tmp_path / "a.jsonl", model="another")
    run(records[:2], tmp_path / "a.jsonl", settings=replace(SETTINGS, seed=1))
    assert engine.num_branched == 6
    run([replace(records[0], where="moved:7")], tmp_path / "a.jsonl")
    assert engine.num_branched == 6


def test_a_damaged_manifest_is_not_written_over(
    records: list[Labelled], run: Callable[..., RolloutReport], tmp_path: Path
):
    out = tmp_path / "pairs.jsonl"
    out.write_text("not json\n")
    with pytest.raises(UserError, match=r"is damaged: .*; move it away and start again"):
        run(records, out)
    assert out.read_text() == "not json\n"


def test_a_full_disk_is_one_sentence(
    records: list[Labelled], run: Callable[..., RolloutReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device; make room and start again"):
        run(records, tmp_path / "pairs.jsonl")
    monkeypatch.undo()
    assert run(records, tmp_path / "pairs.jsonl").outcomes.total() == 9


def test_any_engine_draws_and_the_verifiable_judges_choose(recordings: list[Path], tmp_path: Path):
    engine = Scripted("the quick brown box", "the quick brown fox", "the quack brown box", "I can't help with that.")
    record = Labelled("m:1", "1", "s", (Recording(recordings[0]),), "asr", "The quick brown fox.")
    report = rollout(
        [record],
        engine=engine,  # type: ignore[arg-type]
        model="scripted",
        make=sft_make(read_bank()),
        judges=verifiable(),
        settings=RolloutSettings(num=4, length_tolerance=0.0),
        out=tmp_path / "pairs.jsonl",
    )
    assert report.outcomes == {"kept": 1}
    [kept] = open_records(tmp_path / "pairs.jsonl")
    assert isinstance(kept, Preference)
    assert (kept.chosen, kept.rejected) == ("the quick brown fox", "the quack brown box")
    assert len(engine.asked) == 4
    assert len(engine.asked[0].audios) == 1


def test_our_engines_draws_are_those_of_any_engine(checkpoint: Checkpoint, recordings: list[Path]):
    request = Request((Message("user", (Audio(), "?")),), (Recording(recordings[0]).load(),))
    sampling = Sampling(temperature=1.0, seed=5, max_new_tokens=8)
    branched = draw(NativeEngine(checkpoint), request, sampling, 3)
    copied = NativeEngine(checkpoint).generate([request] * 3, sampling)
    assert [answer.text for answer in branched] == [answer.text for answer in copied]
