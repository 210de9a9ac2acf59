"""Runs with a model that only says what it was asked: what is asked, what is kept, what is refused."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from echo import Echo, read_log
from rich.console import Console

from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.evaluate import run as run_module
from auricle.evaluate import run_folder
from auricle.evaluate.identity import FileHashes
from auricle.evaluate.progress import Progress
from auricle.evaluate.run import run, summary
from auricle.evaluate.run_folder import RunFolder
from auricle.evaluate.sample import Sample


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Sample]:
    """A sample whose recording has so many bytes."""

    def sample(id_: str, num_bytes: int, *, source: str = "calls", prompt: str = "What?", salt: str = "") -> Sample:
        audio = tmp_path / f"{source}-{id_}{salt}.wav"
        audio.write_bytes((id_ * num_bytes).encode()[:num_bytes])
        return Sample(id_, "phones", source, "asr", audio, prompt, "right")

    return sample


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def ask(tmp_path: Path, out: Path) -> Callable[..., RunFolder]:
    hashes = FileHashes(tmp_path / "hashes.sqlite")

    def asked(samples: list[Sample], opener: Echo, **options: object) -> RunFolder:
        return run(samples, opener, out, hashes=hashes, **options)

    return asked


@pytest.fixture
def echo(tmp_path: Path) -> Echo:
    return Echo(tmp_path / "log")


def texts(folder: RunFolder) -> dict[str, str]:
    return {one.sample.id: one.text for one in RunFolder(folder.path).answered()}


def asked_ids(echo: Echo) -> list[str]:
    return [line.split()[1] for line in read_log(echo.log) if not line.endswith("open")]


def test_everything_is_answered_the_longest_first(make: Callable, ask: Callable, echo: Echo):
    samples = [make("a", 30), make("b", 500), make("c", 7), replace(make("d", 1), duration_s=3600.0)]
    folder = ask(samples, echo)
    assert asked_ids(echo) == ["d", "b", "a", "c"]
    assert texts(folder) == {"a": "What? 30", "b": "What? 500", "c": "What? 7", "d": "What? 1"}
    assert [one.sample.id for one in folder.answered()] == ["a", "b", "c", "d"]
    assert folder.num_missing == 0


def test_a_length_that_nobody_stated_is_kept_with_the_answer(make: Callable, ask: Callable, echo: Echo):
    folder = ask([make("a", 30), replace(make("b", 50), duration_s=77.0)], echo)
    assert [one.sample.duration_s for one in folder.answered()] == [3.0, 77.0]


def test_the_same_question_to_the_same_recording_is_asked_once(make: Callable, ask: Callable, echo: Echo):
    one = make("a", 30)
    samples = [one, replace(one, id="again"), replace(one, id="other", prompt="Who?")]
    assert texts(ask(samples, echo)) == {"a": "What? 30", "again": "What? 30", "other": "Who? 30"}
    assert sorted(asked_ids(echo)) == ["a", "other"]


def test_a_finished_run_is_not_even_opened_again(make: Callable, ask: Callable, echo: Echo):
    samples = [make("a", 30), make("b", 50)]
    ask(samples, echo)
    before = read_log(echo.log)
    assert summary(ask(samples, echo))[0].startswith("2 samples answered, 0 failed")
    assert read_log(echo.log) == before


def test_a_stopped_run_asks_only_for_the_rest(make: Callable, ask: Callable, echo: Echo, out: Path):
    samples = [make(str(number), 10 + number) for number in range(9)]
    with pytest.raises(UserError, match="out of order"):
        ask(samples, replace(echo, after=4, end="out of order"))
    halfway = RunFolder(out)
    assert (len(halfway.answered()), halfway.num_missing) == (4, 5)
    folder = ask(samples, echo)
    assert sorted(asked_ids(echo)) == sorted(sample.id for sample in samples)  # nothing twice, nothing left out
    assert texts(folder) == {sample.id: f"What? {10 + int(sample.id)}" for sample in samples}
    assert folder.info.audio_s == pytest.approx(sum(10 + number for number in range(9)) / 10)
    assert folder.info.took_s > halfway.info.took_s > 0
    assert folder.info.started == halfway.info.started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_that_keeps_its_answers(
    number: signal.Signals, make: Callable, ask: Callable, echo: Echo, out: Path
):
    samples = [make(str(length), 10 + length) for length in range(5)]
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        ask(samples, replace(echo, after=2, end=number))
    assert ended.value.code == 128 + number
    assert signal.getsignal(number) is before
    assert RunFolder(out).num_missing == 3
    assert RunFolder(out).info.audio_s == pytest.approx((14 + 13) / 10)


def test_a_recording_that_cannot_be_heard_is_a_failure_and_is_tried_again(make: Callable, ask: Callable, echo: Echo):
    gone, empty, fine = make("gone", 20), make("empty", 0), make("fine", 5)
    samples = [gone, empty, replace(empty, id="again"), fine]
    gone.audio.unlink()
    folder = ask(samples, echo)
    failures = {one.sample.id: one.failure for one in folder.answered()}
    assert failures["fine"] is None
    assert failures["gone"] == f"no such file: {gone.audio}; check the path"
    assert failures["empty"] == failures["again"] == f"{empty.audio} is empty"
    assert summary(folder)[:2] == [
        summary(folder)[0],
        f"the first failure: {failures['gone']}",
    ]
    assert "1 samples answered, 3 failed" in summary(folder)[0]
    gone.audio.write_bytes(b"here")
    empty.audio.write_bytes(b"too")
    folder = ask(samples, echo)
    assert texts(folder) == {"gone": "What? 4", "empty": "What? 3", "again": "What? 3", "fine": "What? 5"}
    assert [one.failure for one in folder.answered()] == [None] * 4
    assert asked_ids(echo).count("fine") == 1


def test_what_decides_an_answer_is_what_the_recording_holds_not_where_it_lies(
    make: Callable, ask: Callable, echo: Echo, tmp_path: Path
):
    sample = make("a", 30)
    ask([sample], echo)
    moved = replace(sample, audio=sample.audio.rename(tmp_path / "elsewhere.wav"))
    ask([moved], echo)
    assert asked_ids(echo) == ["a"]
    moved.audio.write_bytes(b"other sounds")
    assert texts(ask([moved], echo)) == {"a": "What? 12"}
    assert asked_ids(echo) == ["a", "a"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_hash": "1" * 64}, f"model_hash was {'0' * 64}, is {'1' * 64}"),
        ({"engine": "transformers"}, "engine was native, is transformers"),
        ({"dtype": "bfloat16"}, "dtype was float32, is bfloat16"),
        ({"sampling": Sampling(max_new_tokens=9)}, "sampling.max_new_tokens was 256, is 9"),
    ],
)
def test_a_folder_of_other_settings_is_refused_by_name(
    change: dict, told: str, make: Callable, ask: Callable, echo: Echo, out: Path
):
    samples = [make("a", 30)]
    ask(samples, echo)
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    other = replace(echo, identity=replace(echo.identity, **change))
    with pytest.raises(UserError) as refused:
        ask(samples, other)
    assert str(refused.value) == (
        f"{out} holds a run with other settings: {told}; keep them to go on with it, or name another --out"
    )
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files
    assert asked_ids(echo) == ["a"]


def test_the_name_of_the_same_model_may_change(make: Callable, ask: Callable, echo: Echo):
    ask([make("a", 30)], echo)
    folder = ask([make("a", 30)], replace(echo, identity=replace(echo.identity, model="/moved/here")))
    assert (folder.info.model, asked_ids(echo)) == ("/moved/here", ["a"])


def test_a_run_may_grow_but_not_shrink(make: Callable, ask: Callable, echo: Echo, out: Path):
    few, more = [make("a", 30)], [make("b", 20), make("a", 30)]
    ask(few, echo, limit=1)
    folder = ask(more, echo, limit=2)
    assert (folder.info.limit, asked_ids(echo)) == (2, ["a", "b"])
    with pytest.raises(UserError, match="1 of its own are not asked for now, such as b of calls; ask for the same or"):
        ask(few, echo, limit=1)
    assert RunFolder(out).num_missing == 0


def test_a_start_without_an_answer_binds_nobody(make: Callable, ask: Callable, echo: Echo):
    wrong = replace(echo, after=0, end="no such server", identity=replace(echo.identity, engine="http://typo"))
    with pytest.raises(UserError, match="no such server"):
        ask([make("a", 30), make("b", 3)], wrong)
    assert texts(ask([make("a", 30)], echo)) == {"a": "What? 30"}


HOLD = """
import sys
from pathlib import Path
from auricle.evaluate.run_folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_runs_cannot_share_a_folder(make: Callable, ask: Callable, echo: Echo, out: Path):
    command = [sys.executable, "-c", HOLD, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"in use by another run \(process {other.pid}\); wait for it, or name"):
            ask([make("a", 30)], echo)
        other.kill()
    assert texts(ask([make("a", 30)], echo)) == {"a": "What? 30"}


def test_what_is_no_run_is_refused(tmp_path: Path, make: Callable, ask: Callable, echo: Echo, out: Path):
    with pytest.raises(UserError, match=r"holds no run: no run\.json in it; make one with `auricle eval run"):
        RunFolder(tmp_path)
    ask([make("a", 30), make("b", 3)], echo)
    (out / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        RunFolder(out)


def test_run_info_says_what_it_was_made_with(make: Callable, ask: Callable, echo: Echo, out: Path):
    drawn = Sampling(temperature=0.7, stop=("\n", "é"), seed=3)
    who = replace(echo.identity, engine="vllm", dtype="bfloat16", sampling=drawn)
    ask([replace(make("a", 30), duration_s=31.0)], replace(echo, identity=who), limit=5)
    info = RunFolder(out).info
    assert info == ask([replace(make("a", 30), duration_s=31.0)], replace(echo, identity=who), limit=5).info
    assert (info.model, info.engine, info.dtype, info.prompt_form, info.sampling, info.limit) == (
        *("echo", "vllm", "bfloat16", "raw"),
        *(drawn, 5),
    )
    assert {"auricle", "torch", "python"} <= dict(info.versions).keys()
    assert "cores" in info.machine
    told = " ".join(info.remarks)
    for word in ("generation_config", "16 tokens", "Placeholders", "30 s", "bfloat16", "drawn"):
        assert word in told
    assert json.loads((out / "run.json").read_text())["sampling"]["seed"] == 3


def test_a_session_on_another_version_is_remarked(make: Callable, ask: Callable, echo: Echo, out: Path):
    ask([make("a", 30)], echo)
    before = json.loads((out / "run.json").read_text())
    versions = [[name, "0.0" if name == "torch" else number] for name, number in before["versions"]]
    (out / "run.json").write_text(json.dumps(before | {"versions": versions}))
    [remark] = ask([make("a", 30)], echo).info.remarks
    assert "Went on " in remark
    assert " with torch " in remark


@pytest.mark.parametrize("written", range(4))
def test_a_kill_while_a_folder_is_begun_never_gives_a_sample_the_answer_of_another(
    written: int, make: Callable, ask: Callable, echo: Echo, out: Path, monkeypatch: pytest.MonkeyPatch
):
    samples = [make("a", 30), make("b", 500)]
    ask(samples, echo)
    done: list[Path] = []

    def killed(write: Callable) -> Callable:
        def until(*arguments: object) -> None:
            if len(done) == written:
                raise KeyboardInterrupt
            done.append(out)
            write(*arguments)

        return until

    more = [samples[1], samples[0], make("c", 7)]
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "_write", killed(run_folder._write))
        patch.setattr(run_folder, "write_samples", killed(run_folder.write_samples))
        with pytest.raises(KeyboardInterrupt):
            ask(more, echo)
    answers = {"a": "What? 30", "b": "What? 500", "c": "What? 7"}
    if written == 1:  # new keys beside old samples
        with pytest.raises(UserError, match=r"its keys\.json is not of its 2 samples; start its `auricle eval run` a"):
            RunFolder(out)
    else:
        assert texts(RunFolder(out)).items() <= answers.items()
    assert texts(ask(more, echo)) == answers
    assert sorted(asked_ids(echo)) == ["a", "b", "c"]


def test_a_prompt_that_changed_takes_no_key_of_the_old_one(make: Callable, ask: Callable, echo: Echo, out: Path):
    ask([make("a", 30)], echo)
    keys = (out / "keys.json").read_text()
    ask([make("a", 30, prompt="Who?")], echo)
    (out / "keys.json").write_text(keys)
    with pytest.raises(UserError, match=r"its keys\.json is not of its 1 samples"):
        RunFolder(out)


def test_a_language_that_is_empty_text_is_none(make: Callable, ask: Callable, echo: Echo):
    assert texts(ask([replace(make("a", 30), language="", target_language="")], echo)) == {"a": "What? 30"}


def test_a_folder_with_a_plain_list_of_keys_is_read_and_goes_on(make: Callable, ask: Callable, echo: Echo, out: Path):
    samples = [make("a", 30), make("b", 500)]
    keys = ask(samples, echo).keys
    (out / "keys.json").write_text(json.dumps(keys))
    assert texts(RunFolder(out)) == {"a": "What? 30", "b": "What? 500"}
    ask(samples[::-1], echo)
    assert json.loads((out / "keys.json").read_text())["keys"] == keys[::-1]
    assert len(asked_ids(echo)) == 2


def test_only_what_the_folder_holds_is_answered_already(make: Callable, ask: Callable, echo: Echo):
    one, gone = make("a", 30), make("gone", 20)
    gone.audio.unlink()
    samples = [one, replace(one, id="again"), replace(one, id="once more"), make("b", 5), gone]

    def said() -> list[str]:
        console = Console(file=io.StringIO(), width=200)
        ask(samples, echo, progress=Progress(console))
        return [line for line in console.file.getvalue().splitlines() if line.split()[1] != "of"]

    assert said() == [
        "2 samples ask what others ask of the same sounds and share their answers",
        "1 samples have a recording that cannot be read, and count as failed",
    ]
    assert said() == [
        "4 samples are answered already, 0 are to be asked",
        "1 samples have a recording that cannot be read, and count as failed",
    ]


def test_what_strict_scoring_must_know_is_learnt_before_the_limit(make: Callable, ask: Callable, echo: Echo, out: Path):
    plain = [replace(make(str(number), 9), reference="no marks") for number in range(8)]
    marked = [replace(make(f"m{number}", 9), reference="Marks, and case.") for number in range(2)]
    other = replace(make("x", 9, source="other"), reference="plain")
    folder = ask([*plain, *marked], echo, limit=1)
    assert len(folder.samples) == 1
    assert RunFolder(out).info.conventions == (("calls", True, True),)
    assert ask([*plain, *marked, other], echo, limit=2).info.conventions == (
        ("calls", True, True),
        ("other", False, False),
    )
    assert ask([*plain, *marked, other], echo).info.conventions == (("calls", True, True), ("other", False, False))
    assert RunFolder(out).num_missing == 0


def test_without_zhconv_a_run_goes_on(make: Callable, ask: Callable, echo: Echo, monkeypatch: pytest.MonkeyPatch):
    samples = [make("a", 30)]
    assert ask(samples, echo).info.conventions

    def refuse(samples: object) -> None:
        raise UserError("zhconv is not installed")

    monkeypatch.setattr(run_module, "conventions_of", refuse)
    assert ask(samples, echo).info.conventions  # what is known stays known
    assert run(samples, echo, echo.log.parent / "new").info.conventions == ()


def test_a_limit_below_one_leaves_no_folder(make: Callable, ask: Callable, echo: Echo, out: Path):
    with pytest.raises(UserError, match="limit must be at least 1: got 0"):
        ask([make("a", 30)], echo, limit=0)
    assert not out.exists()


def test_half_a_character_and_a_path_that_is_no_text_are_kept_as_they_are(
    make: Callable, ask: Callable, echo: Echo, tmp_path: Path
):
    odd = tmp_path / os.fsdecode(b"\xff.wav")
    odd.write_bytes(b"1234")
    gone = tmp_path / os.fsdecode(b"gone\xfe.wav")
    samples = [
        replace(make("a", 30), prompt="What \ud83d?"),  # which comes back in the answer
        replace(make("b", 3), id=os.fsdecode(b"\xff"), audio=odd),
        replace(make("c", 3), audio=gone),
    ]
    folder = ask(samples, replace(echo, log=tmp_path / "log"))
    found = RunFolder(folder.path).answered()
    assert [one.text for one in found] == ["What \ud83d? 30", "What? 4", ""]
    assert [one.sample.audio for one in found] == [one.audio for one in samples]
    assert found[2].failure == f"no such file: {gone}; check the path"
    assert "first failure: no such file: " in summary(folder)[1]
    summary(folder)[1].encode()
