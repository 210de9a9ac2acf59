"""The judge of chats behind an OpenAI-compatible server: both positions, asked once, failures counted."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from auricle.content_cache import ContentCache
from auricle.engines import Engine, open_engine
from auricle.errors import UserError
from auricle.evaluate.judge import Judged, Scores, judge, read_scores
from auricle.evaluate.sample import Answered, Sample


def chat(answer: str, number: int = 0, *, reference: str = "the reference, worth 9", details: bool = True) -> Answered:
    sample = Sample(
        str(number),
        "airbench",
        "speech_QA",
        "chat",
        Path("a.wav"),
        "How many speak?",
        reference,
        details=(("meta_info", "Two women {laugh}."),) if details else (),
    )
    return Answered(sample, answer)


def worth(answer: str) -> str:
    return answer.split()[-1]


class Server(ThreadingHTTPServer):
    """Scores an answer by its last word, plus one for what stands first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[dict[str, Any]] = []
        self.refuses = ""
        self.reply: Callable[[str, str], str] = lambda first, second: f"{int(worth(first)) + 1} {worth(second)}"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def messages(self) -> list[str]:
        return [body["messages"][-1]["content"] for body in self.bodies]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        model = {"id": "judge-1", "object": "model", "created": 0, "owned_by": "somebody"}
        self._send(200, {"object": "list", "data": [model]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        message = body["messages"][-1]["content"]
        if self.server.refuses and self.server.refuses in message:
            self._send(400, {"error": {"message": "I am a teapot"}})
            return
        content = self.server.reply(*answers(message))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        self._send(200, reply | {"usage": usage})

    def _send(self, status: int, reply: dict[str, object]) -> None:
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Silent."""


def answers(message: str) -> tuple[str, str]:
    first, second = (message.split(f"Assistant {number} answered:\n")[1].split("\n")[0] for number in (1, 2))
    return first, second


@pytest.fixture
def server() -> Iterator[Server]:
    opened = Server()
    threading.Thread(target=opened.serve_forever, args=(0.01,), daemon=True).start()
    yield opened
    opened.shutdown()
    opened.server_close()


@pytest.fixture
def engine(server: Server) -> Engine:
    return open_engine("judge-1", engine=server.address)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ContentCache]:
    opened = ContentCache(tmp_path / "judged.sqlite")
    yield opened
    opened.close()


def scores(judged: Sequence[Judged]) -> list[tuple[Scores | None, Scores | None]]:
    return [(item.after, item.before) for item in judged]


def test_both_positions_are_asked_and_told_apart(server: Server, engine: Engine, cache: ContentCache):
    [found] = judge([chat("three of them, worth 4")], engine, name="judge-1", cache=cache)
    # the judge favours what stands first by one
    assert (found.after, found.before) == (Scores(reference=10, model=4), Scores(reference=9, model=5))
    assert found.num_failed == 0
    pairs = sorted(map(answers, server.messages))
    assert pairs == [
        ("the reference, worth 9", "three of them, worth 4"),
        ("three of them, worth 4", "the reference, worth 9"),
    ]


def test_the_judge_reads_description_and_question_and_is_greedy(server: Server, engine: Engine, cache: ContentCache):
    judge([chat("worth 4")], engine, name="judge-1", cache=cache)
    for body in server.bodies:
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert (body["temperature"], body["max_tokens"]) == (0, 1024)
        message = body["messages"][-1]["content"]
        assert "Two women {laugh}." in message
        assert "How many speak?" in message
        assert "from 1 to 10" in message


def test_nothing_is_asked_twice(server: Server, engine: Engine, cache: ContentCache):
    told: list[tuple[int, int]] = []
    items = [chat(f"worth {number}", number) for number in (3, 4, 5)]
    before = judge(items, engine, name="judge-1", cache=cache, watch=lambda *dealt: told.append(dealt))
    assert told == [(number, 6) for number in range(1, 7)]
    assert judge(items, engine, name="judge-1", cache=cache) == before
    assert len(server.bodies) == 6
    judge(items, engine, name="another", cache=cache)
    assert len(server.bodies) == 12
    judge(items, engine, name="judge-1", cache=cache, temperature=1.0)
    assert len(server.bodies) == 18
    assert {body["temperature"] for body in server.bodies[12:]} == {1}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("8 7", Scores(8, 7)),
        (" 10 1\n", Scores(10, 1)),
        ("8 \n7", Scores(8, 7)),  # the script takes line breaks out
        ("8\n7", None),  # which makes one number of these two
        ("1\n0 7", Scores(10, 7)),
        ("8  7", None),  # two spaces part three things
        ("8, 7", None),
        ("8.5 7", None),
        ("8 7 because", None),
        ("Assistant 1: 8", None),
        ("8/10 7/10", None),
        ("11 7", None),
        ("0 7", None),
        ("7 -1", None),
        ("8", None),
        ("", None),
    ],
)
def test_replies_are_read_as_the_published_script_reads_them(reply: str, expected: Scores | None):
    assert read_scores(reply) == expected


def test_replies_without_scores_are_counted_and_not_asked_again(server: Server, engine: Engine, cache: ContentCache):
    server.reply = lambda first, second: "I would rather not" if "odd" in first else "8 7"
    items = [chat("odd"), chat("even", 1)]
    found = judge(items, engine, name="judge-1", cache=cache)
    assert scores(found) == [(Scores(8, 7), None), (Scores(8, 7), Scores(7, 8))]
    assert [item.num_failed for item in found] == [1, 0]
    assert judge(items, engine, name="judge-1", cache=cache) == found
    assert len(server.bodies) == 4


def test_refused_messages_are_counted_and_asked_again(server: Server, engine: Engine, cache: ContentCache):
    server.refuses = "forbidden"
    items = [chat("worth 4"), chat("forbidden, worth 5", 1), chat("worth 6", 2)]
    found = judge(items, engine, name="judge-1", cache=cache)
    assert [item.num_failed for item in found] == [0, 2, 0]
    server.refuses, num_asked = "", len(server.bodies)
    assert [item.num_failed for item in judge(items, engine, name="judge-1", cache=cache)] == [0, 0, 0]
    assert len(server.bodies) == num_asked + 2
    server.refuses = "recording"  # everything
    with pytest.raises(UserError, match="400"):
        judge([chat(f"worth {number}", number) for number in (1, 2, 3)], engine, name="new", cache=cache)


def test_a_killed_judge_goes_on_where_it_was(server: Server, engine: Engine, cache: ContentCache):
    items = [chat(f"worth {number}", number) for number in range(1, 8)]
    slow = open_engine("judge-1", engine=server.address)
    slow.batch_size = 1

    def stop(dealt: int, _: int) -> None:
        if dealt == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(items, slow, name="judge-1", cache=cache, watch=stop)
    assert len(cache) == 5
    before = len(server.bodies)
    found = judge(items, engine, name="judge-1", cache=cache)
    assert len(server.bodies) == before + 2 * len(items) - 5
    assert [item.after for item in found] == [Scores(10, number) for number in range(1, 8)]


def test_a_sample_without_a_description_cannot_be_judged(engine: Engine, cache: ContentCache):
    with pytest.raises(UserError, match="sample 3 of speech_QA has no meta_info: the judge reads it in place of"):
        judge([chat("worth 4", 3, details=False)], engine, name="judge-1", cache=cache)
