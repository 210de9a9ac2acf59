"""Samples through an engine: what it hears, what never reaches it, what its refusals cost; tiny models, float32."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from echo import read_log

from auricle import audio
from auricle.conversation import Answer, Audio, Message, RawPrompt, Sampling
from auricle.engines import NativeEngine, Request
from auricle.errors import UserError
from auricle.evaluate import opener
from auricle.evaluate.answerer import EngineAnswerer
from auricle.evaluate.identity import FileHashes
from auricle.evaluate.lists import write_samples
from auricle.evaluate.opener import open_model
from auricle.evaluate.run import run
from auricle.evaluate.run_folder import RunFolder
from auricle.evaluate.sample import Sample
from auricle.weights import Checkpoint

SHORT = Sampling(min_new_tokens=1, max_new_tokens=8)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, noise: Callable, encode_audio: Callable) -> list[Sample]:
    """Twelve recordings of 0.3 to 3 s, with two questions."""
    folder = tmp_path_factory.mktemp("noises")
    found = []
    for number in range(12):
        path = folder / f"{number}.wav"
        samples = noise(0.3 + 0.25 * ((number * 5) % 12), seed=number)
        path.write_bytes(encode_audio(samples[None], container="wav", codec="pcm_s16le", rate=16000))
        question = ("Who speaks?", "What is said?")[number % 2]
        found.append(Sample(str(number), "noises", f"noises_{number % 3}", "asr", path, question, "nothing"))
    return found


def heard(samples: list[Sample], checkpoint: Checkpoint, *, chat: bool = False) -> list[str]:
    """One request at a time, straight to the engine."""
    engine = NativeEngine(checkpoint, batch_size=1)
    requests = []
    for sample in samples:
        content = (Audio(), sample.prompt)
        prompt = (Message("user", content),) if chat else RawPrompt(content)
        requests.append(Request(prompt, (audio.load(sample.audio),)))
    return [answer.text for answer in engine.generate(requests, SHORT)]


def texts(folder: RunFolder) -> list[str]:
    return [one.text for one in folder.answered()]


@pytest.fixture
def ask(tmp_path: Path, checkpoint_dir: Path) -> Callable[..., RunFolder]:
    hashes = FileHashes(tmp_path / "hashes.sqlite")

    def asked(samples: list[Sample], *, out: str = "out", num_processes: int = 1, **options: object) -> RunFolder:
        opener = open_model(str(checkpoint_dir), device="cpu", sampling=SHORT, hashes=hashes, **options)
        return run(samples, opener, tmp_path / out, hashes=hashes, num_processes=num_processes)

    return asked


def test_answers_are_the_engines_own_in_the_raw_form(
    samples: list[Sample], ask: Callable, checkpoint: Checkpoint, checkpoint_dir: Path
):
    folder = ask(samples)
    expected = heard(samples, checkpoint)
    assert texts(folder) == expected
    assert len(set(expected)) > 6  # the model hears: else every answer would do
    assert (folder.info.prompt_form, folder.info.dtype) == ("raw", "float32")
    assert folder.info.model == str(checkpoint_dir)
    assert folder.info.audio_s == pytest.approx(sum(audio.load(sample.audio).duration_s for sample in samples))


def test_chats_go_through_the_template_and_nothing_else_does(
    samples: list[Sample], ask: Callable, checkpoint: Checkpoint
):
    chats = [replace(sample, task="chat") for sample in samples[:3]]
    assert texts(ask(chats)) == heard(chats, checkpoint, chat=True) != heard(chats, checkpoint)
    both = ask([*chats, *samples[3:5]])
    assert both.info.prompt_form == "auto"
    assert texts(both)[3:] == heard(samples[3:5], checkpoint)
    assert texts(ask(chats, out="raw", prompt="raw")) == heard(chats, checkpoint)
    assert texts(ask(samples[:2], out="chat", prompt="chat")) == heard(samples[:2], checkpoint, chat=True)


def test_the_batch_size_changes_nothing(samples: list[Sample], ask: Callable):
    folders = [ask(samples, out=str(size), batch_size=size) for size in (1, 3, 32)]
    assert texts(folders[0]) == texts(folders[1]) == texts(folders[2])
    assert folders[0].keys == folders[1].keys == folders[2].keys


def test_what_cannot_be_answered_takes_no_other_sample_with_it(
    samples: list[Sample], ask: Callable, checkpoint: Checkpoint, tmp_path: Path, sine: Callable, encode_audio: Callable
):
    """A file without sound, a missing one, a click too short for a token, and a question too long for the context."""
    broken, click = tmp_path / "broken.wav", tmp_path / "click.wav"
    broken.write_bytes(b"RIFF no sound")
    click.write_bytes(encode_audio(sine(0.01)[None], container="wav", codec="pcm_s16le", rate=16000))
    bad = [
        replace(samples[0], id="broken", audio=broken),
        replace(samples[0], id="gone", audio=tmp_path / "gone.wav"),
        replace(samples[0], id="click", audio=click),
        replace(samples[0], id="long", prompt="What is said? " * 2000),
    ]
    mixed = [bad[0], samples[1], bad[1], bad[2], samples[2], bad[3], samples[3]]
    folder = ask(mixed)
    failures = {one.sample.id: one.failure for one in folder.answered() if one.failure}
    assert failures.keys() == {"broken", "gone", "click", "long"}
    assert str(broken) in failures["broken"]
    assert "cannot hear" in failures["click"]
    assert "prompt too long" in failures["long"]
    answered = [one.text for one in folder.answered() if not one.failure]
    assert answered == heard(samples[1:4], checkpoint)


class Server:
    """Refuses some requests, by the length of their recording; gives up at the first, as servers' engines do."""

    defaults, batch_size = Sampling(), 2

    def __init__(self, refuses: Callable[[float], bool]) -> None:
        self.refuses = refuses
        self.asked: list[float] = []

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        for request in [*requests]:  # reads ahead as far as it can
            length_s = round(request.audios[0].duration_s, 2)
            self.asked.append(length_s)
            if self.refuses(length_s):
                raise UserError(f"the server refuses {length_s}")
            yield Answer(f"heard {length_s}", 1, 1, "stop", 0.0)


@pytest.fixture
def lengths(tmp_path: Path, sine: Callable, encode_audio: Callable) -> Callable[..., list[Sample]]:
    def make(*lengths_s: float) -> list[Sample]:
        found = []
        for number, length_s in enumerate(lengths_s):
            path = tmp_path / f"{number}.wav"
            path.write_bytes(encode_audio(sine(length_s)[None], container="wav", codec="pcm_s16le", rate=16000))
            found.append(Sample(str(number), "d", "d", "asr", path, "What?", ""))
        return found

    return make


def test_a_server_that_refuses_one_request_is_asked_for_the_others(lengths: Callable):
    server = Server(lambda length_s: length_s in (0.3, 0.6))
    answerer = EngineAnswerer(server, identity="", sampling=SHORT)
    said = list(answerer.answer(lengths(0.2, 0.3, 0.4, 0.5, 0.6)))
    assert [one.failure or one.text for one in said] == [
        *("heard 0.2", "the server refuses 0.3", "heard 0.4", "heard 0.5", "the server refuses 0.6"),
    ]
    assert server.asked == [0.2, 0.3, 0.4, 0.5, 0.6]


def test_a_server_that_refuses_five_in_a_row_ends_the_run(lengths: Callable):
    server = Server(lambda length_s: length_s > 0.25)
    said = EngineAnswerer(server, identity="", sampling=SHORT).answer(lengths(*[0.2] * 2, *[0.3] * 9))
    seen = []
    with pytest.raises(UserError, match=r"refuses 0\.3"):
        seen.extend(one.failure for one in said)
    assert len(server.asked) == 2 + 5


def test_long_recordings_that_a_server_refuses_do_not_end_the_run(lengths: Callable):
    server = Server(lambda length_s: length_s > 30)
    said = EngineAnswerer(server, identity="", sampling=SHORT).answer(lengths(*[30.1] * 6, 0.2))
    assert [one.failure is None for one in said] == [False] * 6 + [True]


def test_an_engine_in_this_process_that_refuses_ends_the_run_at_once(lengths: Callable):
    """What it would refuse by sample was left out before: it is the settings that it refuses."""
    server = Server(lambda length_s: True)
    said = EngineAnswerer(server, identity="", sampling=SHORT, check=lambda request: None).answer(lengths(0.2, 0.3))
    with pytest.raises(UserError, match="refuses"):
        list(said)
    assert server.asked == [0.2]


def test_a_server_that_does_not_know_the_official_settings_says_so_before_it_is_asked(
    lengths: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class OpenAI(Server):
        def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
            if sampling.min_new_tokens:
                raise UserError("min_new_tokens is no part of OpenAI's API: got 1; leave it out")
            return super().generate(requests, sampling)

    server = OpenAI(lambda length_s: False)
    monkeypatch.setattr(opener, "open_engine", lambda *names, **options: server)
    samples, url = lengths(0.2, 0.3), "http://localhost:1/v1"
    with pytest.raises(UserError, match=r"leave it out: --min-new-tokens 0 does so$"):
        run(samples, open_model("gpt", engine=url), tmp_path / "out", hashes=FileHashes(tmp_path / "hashes"))
    assert server.asked == []
    model = open_model("gpt", engine=url, sampling=Sampling())
    folder = run(samples, model, tmp_path / "out", hashes=FileHashes(tmp_path / "hashes"))
    assert texts(folder) == ["heard 0.2", "heard 0.3"]
    assert (folder.info.prompt_form, folder.info.engine) == ("chat", url)
    for word in ("template", "Repetition penalty", "max_tokens", "30 s"):
        assert word in " ".join(folder.info.remarks)


KILLED = """
import json, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from echo import Mortal
from auricle.conversation import Sampling
from auricle.evaluate.identity import FileHashes
from auricle.evaluate.lists import read_samples
from auricle.evaluate.opener import open_model
from auricle.evaluate.run import run

if __name__ == "__main__":
    folder, after, batch_size, processes = Path(sys.argv[1]), *map(int, sys.argv[2:])
    hashes = FileHashes(folder / "hashes.sqlite")
    sampling = Sampling(min_new_tokens=1, max_new_tokens=8)
    model = open_model({model!r}, device="cpu", batch_size=batch_size, sampling=sampling, hashes=hashes)
    model = Mortal(model, folder / "log", after)
    run(read_samples(folder / "list.jsonl"), model, folder / "out", num_processes=processes, hashes=hashes)
"""


@pytest.fixture
def program(samples: list[Sample], tmp_path: Path, checkpoint_dir: Path) -> Callable[..., subprocess.Popen]:
    write_samples(samples, tmp_path / "list.jsonl")
    script = tmp_path / "program.py"
    script.write_text(KILLED.format(here=str(Path(__file__).parent), model=str(checkpoint_dir)))

    def start(*, after: int, batch_size: int, processes: int) -> tuple[int, str]:
        command = [sys.executable, str(script), str(tmp_path), *map(str, (after, batch_size, processes))]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stderr

    return start


def test_killed_and_started_with_another_batch_size_it_loses_and_repeats_nothing(
    samples: list[Sample], program: Callable, checkpoint: Checkpoint, ask: Callable, tmp_path: Path
):
    assert program(after=5, batch_size=2, processes=1)[0] == -signal.SIGKILL
    halfway = RunFolder(tmp_path / "out")
    assert halfway.num_missing == len(samples) - 5
    before = read_log(tmp_path / "log")
    folder = ask(samples, batch_size=7)  # in this process, without the log
    assert folder.num_missing == 0
    assert texts(folder) == heard(samples, checkpoint)
    assert len(before) == len(set(before)) == 5


@pytest.mark.slow
@pytest.mark.parametrize("processes", [(1, 2), (2, 3)])
def test_killed_and_started_with_other_processes_it_loses_and_repeats_nothing(
    processes: tuple[int, int], samples: list[Sample], program: Callable, checkpoint: Checkpoint, tmp_path: Path
):
    """With several processes one of them is killed; the run says so."""
    code, said = program(after=2, batch_size=2, processes=processes[0])
    if processes[0] == 1:
        assert code == -signal.SIGKILL
    else:
        assert code == 1
        assert f"one of {processes[0]} answering processes was ended by SIGKILL; the answers so far are kept" in said
    missing = RunFolder(tmp_path / "out").num_missing
    assert 0 < missing <= len(samples) - 2
    assert len(read_log(tmp_path / "log")) == len(samples) - missing
    code, said = program(after=99, batch_size=5, processes=processes[1])
    assert code == 0, said
    assert sorted(read_log(tmp_path / "log")) == sorted(sample.id for sample in samples)
    assert texts(RunFolder(tmp_path / "out")) == heard(samples, checkpoint)


def test_transformers_answers_alike(samples: list[Sample], ask: Callable, checkpoint: Checkpoint):
    assert texts(ask(samples[:4], out="theirs", engine="transformers")) == heard(samples[:4], checkpoint)
