"""`eval judge`, then `eval score`: AIR-Bench's chats before a stub of a server."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from auricle.content_cache import ContentCache
from auricle.conversation import Sampling
from auricle.evaluate.processes import to_json
from auricle.evaluate.run_folder import RunFolder, begin
from auricle.evaluate.run_info import RunInfo
from auricle.evaluate.sample import Answered, Sample

Run = Callable[..., tuple[int, str, str]]
INFO = RunInfo("tiny", "0" * 64, "native", "float32", "auto", Sampling(), None, (), "here", "2026-11-22T20:00:00+00:00")
TASKS = ("speech_QA", "sound_QA")


class Judge(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.num_asked = 0


class Handler(BaseHTTPRequestHandler):
    """7 for whoever is Assistant 1, 5 for the other."""

    server: Judge

    def do_GET(self) -> None:
        self.send({"object": "list", "data": [{"id": "judge", "object": "model", "owned_by": "stub"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.num_asked += 1
        choice = {"index": 0, "message": {"role": "assistant", "content": "7 5"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        self.send(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": "judge",
                "choices": [choice],
                "usage": usage,
            }
        )

    def send(self, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def judge() -> Iterator[Judge]:
    server = Judge()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path, recordings: list[Path]) -> Path:
    """A run with two chats and one transcript."""
    details = (("meta_info", "A tone."),)
    samples = [
        Sample(f"{place}", "airbench", task, "chat", recordings[place], "What is it?", "a tone", details=details)
        for place, task in enumerate(TASKS)
    ]
    samples.append(Sample("2", "made", "clean", "asr", recordings[2], "?", "a tone", "en"))
    path = tmp_path / "run"
    path.mkdir()
    run = begin(path, INFO, samples, ["a", "b", "c"])
    cache = ContentCache(run.answers)
    for key, sample in zip("abc", samples, strict=True):
        cache.put({key: to_json(Answered(sample, f"a tone {key}"))})
    cache.close()
    return path


def url(judge: Judge) -> str:
    return f"http://127.0.0.1:{judge.server_port}/v1"


def test_chats_are_judged_then_scored(
    folder: Path, judge: Judge, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = run_cli("eval", "score", folder, "--no-snr")
    assert code == 0
    assert f"2 answers wait for a judge: auricle eval judge {folder}" in err
    assert "airbench" not in out
    code, out, err = run_cli("eval", "judge", folder, "--url", url(judge), "--model", "judge")
    assert (code, out.splitlines()[0]) == (0, "2 answers judged twice, 0 replies without scores")
    assert judge.num_asked == 4
    code, out, err = run_cli("eval", "score", folder, "--no-snr")
    assert (code, err) == (0, "")
    # 5 as Assistant 2, 7 as Assistant 1
    [line] = [line for line in out.splitlines() if "airbench_speech" in line]
    assert "6.00" in line
    assert "7.24" in line
    assert run_cli("eval", "score", folder, "--no-snr", "--fail-if", "judge<6.5")[0] == 1


def test_nothing_is_judged_twice(folder: Path, judge: Judge, run_cli: Run) -> None:
    for _ in range(2):
        run_cli("eval", "judge", folder, "--url", url(judge), "--model", "judge")
    assert judge.num_asked == 4


def test_an_answer_that_changed_waits_for_a_judge_again(folder: Path, judge: Judge, run_cli: Run) -> None:
    run_cli("eval", "judge", folder, "--url", url(judge), "--model", "judge")
    (folder / "answers.sqlite").unlink()
    cache = ContentCache(folder / "answers.sqlite")
    sample = Sample("0", "airbench", TASKS[0], "chat", Path("a.wav"), "?", "!")
    for key, text in (("a", "another answer"), ("b", "a tone b")):
        cache.put({key: to_json(Answered(sample, text))})
    cache.close()
    code, _, err = run_cli("eval", "report", folder, "--no-snr")
    assert code == 0
    assert "1 answers wait for a judge" in err
    assert "airbench_sound" in (folder / "report.md").read_text().replace("\\", "")


def test_mistakes_are_one_sentence(folder: Path, judge: Judge, run_cli: Run) -> None:
    (folder / "judged.json").write_text("{")
    code, _, err = run_cli("eval", "score", folder)
    assert code == 2
    assert "judged.json is damaged" in err
    assert "; delete it and judge again, the replies are kept" in err
    run = RunFolder(folder)
    (folder / "run.json").unlink()
    begin(folder, INFO, run.samples[2:], run.keys[2:])
    code, _, err = run_cli("eval", "judge", folder, "--url", url(judge), "--model", "judge")
    assert code == 2
    assert "has no answers for a judge" in err


@pytest.mark.parametrize("what", ["score", "report"])
def test_nothing_but_chats_asks_for_a_judge(folder: Path, run_cli: Run, what: str) -> None:
    run = RunFolder(folder)
    (folder / "run.json").unlink()
    begin(folder, INFO, run.samples[:2], run.keys[:2])
    code, out, err = run_cli("eval", what, folder, "--no-snr")
    assert (code, out) == (2, "")
    assert f"2 answers that wait for a judge: auricle eval judge {folder} --url URL --model NAME" in err
    assert len(err.splitlines()) == 1


def test_chats_without_a_judgement_pass_no_gate(folder: Path, judge: Judge, run_cli: Run) -> None:
    code, _, err = run_cli("eval", "score", folder, "--no-snr", "--fail-if", "judge<1")
    assert code == 1
    assert "airbench_speech: no sample has its judgement yet, so 'judge<1' cannot be ruled out" in err
    assert run_cli("eval", "score", folder, "--no-snr", "--fail-if", "wer>100")[0] == 0
    run_cli("eval", "judge", folder, "--url", url(judge), "--model", "judge")
    assert run_cli("eval", "score", folder, "--no-snr", "--fail-if", "judge<1")[0] == 0
