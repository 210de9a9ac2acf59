"""Another model as the judge: asked in both positions, once, its failures counted."""

import json
import math
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from auricle.content_cache import ContentCache
from auricle.conversation import Answer, Sampling
from auricle.engines import Request, open_engine
from auricle.errors import UserError
from auricle.train.judges import (
    Case,
)
from auricle.train.model_judge import ModelJudge


def case(reference: str, instruction: str = "What is said?", task: str = "asr") -> Case:
    return Case(instruction, reference, task)


class Scripted:
    """An engine that gives each answer the score its text holds, and counts what it is asked."""

    defaults = Sampling()
    batch_size = 4

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.favours_first = 0.0
        self.refuses: set[str] = set()

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        assert sampling.temperature == 0
        for request in requests:
            prompt = request.prompt[-1].content[0]  # type: ignore[union-attr]
            assert isinstance(prompt, str)
            self.prompts.append(prompt)
            if any(text in prompt for text in self.refuses):
                raise UserError("the server will not")
            first, second = (prompt.split(f"Answer {number}:\n")[1].split("\n")[0] for number in (1, 2))
            yield Answer(self.reply(first, second), 1, 1, "stop", math.nan)

    def reply(self, first: str, second: str) -> str:
        if "garbage" in first + second:
            return "I would rather not say."
        scores = {"answer_1": self.score(first) + self.favours_first, "answer_2": self.score(second)}
        return f"Here: {json.dumps({'reason': 'because', **scores})}"

    @staticmethod
    def score(text: str) -> float:
        return float(text.split()[-1]) if text.split()[-1].isdigit() else 5.0


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ContentCache]:
    opened = ContentCache(tmp_path / "judged.sqlite")
    yield opened
    opened.close()


def test_a_model_judges_in_both_positions(cache: ContentCache):
    engine = Scripted()
    engine.favours_first = 2.0  # a bias towards what stands first, which the swap takes to both sides alike
    judge = ModelJudge(engine, name="j", dimension="helpfulness", cache=cache)  # type: ignore[arg-type]
    found = judge(case("worth 5"), ["worth 8", "worth 2", "worth 8"])
    assert [verdict.score for verdict in found if verdict] == pytest.approx([0.9, 0.3, 0.9])
    assert len(engine.prompts) == 4  # two answers, two positions; the same answer is asked once
    assert judge.num_failed == 0
    for prompt in engine.prompts:
        assert "What is said?" in prompt
        assert "worth 5" in prompt
    firsts = [prompt.split("Answer 1:\n")[1].split("\n")[0] for prompt in engine.prompts]
    assert sorted(firsts) == ["worth 2", "worth 5", "worth 5", "worth 8"]


def test_what_was_judged_is_not_asked_again(cache: ContentCache):
    first, second, other = Scripted(), Scripted(), Scripted()
    before = ModelJudge(first, name="j", dimension="factual", cache=cache)(case("r"), ["worth 8"])  # type: ignore[arg-type]
    again = ModelJudge(second, name="j", dimension="factual", cache=cache)(case("r"), ["worth 8"])  # type: ignore[arg-type]
    assert before == again
    assert second.prompts == []
    ModelJudge(other, name="another", dimension="factual", cache=cache)(case("r"), ["worth 8"])  # type: ignore[arg-type]
    ModelJudge(other, name="j", dimension="safety", cache=cache)(case("r"), ["worth 8"])  # type: ignore[arg-type]
    assert len(other.prompts) == 4


def test_failures_are_counted_and_asked_again(cache: ContentCache):
    engine = Scripted()
    engine.refuses = {"forbidden"}
    judge = ModelJudge(engine, name="j", dimension="factual", cache=cache)  # type: ignore[arg-type]
    found = judge(case("r"), ["garbage", "worth 8", "forbidden", "worth 99"])
    assert [verdict is None for verdict in found] == [True, False, True, True]  # 99 is no score of 0 to 10
    assert judge.num_failed == 3
    engine.prompts.clear()
    judge(case("r"), ["garbage", "worth 8"])
    assert len(engine.prompts) == 2


def test_a_server_that_refuses_everything_is_not_asked_for_ever(cache: ContentCache):
    engine = Scripted()
    engine.refuses = {"recording"}
    judge = ModelJudge(engine, name="j", dimension="factual", cache=cache)  # type: ignore[arg-type]
    assert judge(case("r"), ["a", "b"]) == [None, None]
    with pytest.raises(UserError, match="the server will not"):
        judge(case("r"), ["c", "d"])
    assert len(engine.prompts) == 5


def test_dimensions_that_no_model_judges(cache: ContentCache):
    with pytest.raises(UserError, match="a model cannot judge 'taste': expected one of factual"):
        ModelJudge(Scripted(), name="j", dimension="taste", cache=cache)  # type: ignore[arg-type]


class Server(ThreadingHTTPServer):
    """An OpenAI-compatible server whose model likes long answers."""

    daemon_threads = True
    num_asked = 0
    fails = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        model = {"id": "judge-1", "object": "model", "created": 0, "owned_by": "somebody"}
        self._send(200, {"object": "list", "data": [model]})

    def do_POST(self) -> None:
        self.server.num_asked += 1
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        if self.server.fails:
            self._send(400, {"error": {"message": "I am a teapot"}})
            return
        first, second = (prompt.split(f"Answer {number}:\n")[1].split("\n")[0] for number in (1, 2))
        scores = {"answer_1": min(10, len(first.split())), "answer_2": min(10, len(second.split()))}
        message = {"role": "assistant", "content": json.dumps(scores)}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choices = [{"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}]
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": choices, "usage": usage}
        self._send(200, reply)

    def _send(self, status: int, reply: dict[str, object]) -> None:
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Silent."""


def test_any_openai_compatible_server_judges(cache: ContentCache):
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        engine = open_engine("judge-1", engine=f"http://127.0.0.1:{server.server_port}/v1")
        judge = ModelJudge(engine, name="judge-1", dimension="helpfulness", cache=cache)
        found = judge(case("five words of a reference"), ["one two three", "1 2 3 4 5 6 7"])
        assert [verdict.score for verdict in found if verdict] == pytest.approx([0.3, 0.7])
        assert server.num_asked == 4
        judge(case("five words of a reference"), ["one two three"])
        assert server.num_asked == 4
        server.fails = True
        assert judge(case("five words of a reference"), ["another"]) == [None]
        assert judge.num_failed == 1
    finally:
        server.shutdown()
        server.server_close()
