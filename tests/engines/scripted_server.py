"""A small chat-completions server that says what a test tells it to, and keeps what it was asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Events = list[dict[str, Any]] | Iterator[dict[str, Any]]
Reply = Callable[[dict[str, Any]], tuple[int, dict[str, Any] | Events]]


class Server(ThreadingHTTPServer):
    """Answers a chat completion with what `reply` makes of its body, and keeps the bodies and the headers.

    A reply of status 0 closes the connection without a word. An iterator of events is sent as it comes, and without
    its end where it raises ConnectionError; `left` is set when a client leaves in the middle of one.
    """

    daemon_threads = True

    def __init__(self, owner: str | None, *, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.owner = owner
        self.max_model_len: int | None = None
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.reply: Reply = answer
        self.left = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.server.owner is None:
            self._send(404, {"error": {"message": "no such path"}})
        else:
            model = {"id": "audio-7b", "object": "model", "created": 0, "owned_by": self.server.owner}
            told, models = self.server.max_model_len, [model]
            if told is not None:
                models = [model | {"id": "another", "max_model_len": 1}, model | {"max_model_len": told}]
            self._send(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.bodies.append(body)
        server.keys.append(self.headers["Authorization"])
        status, reply = server.reply(body)
        if status == 0:
            self.close_connection = True
        elif isinstance(reply, dict | list):
            self._send(status, reply)
        else:
            self._stream(reply)

    def _stream(self, events: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        try:
            for event in events:
                self._chunk(f"data: {json.dumps(event)}\n\n".encode())
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
        except ConnectionError:
            self.server.left.set()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _send(self, status: int, reply: dict[str, Any] | list[dict[str, Any]]) -> None:
        if isinstance(reply, list):
            data = "".join(f"data: {json.dumps(event)}\n\n" for event in reply).encode() + b"data: [DONE]\n\n"
        else:
            data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream" if isinstance(reply, list) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def serving(owner: str | None = "vllm", *, port: int = 0) -> Iterator[Server]:
    """One that runs."""
    server = Server(owner, port=port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def logprob(token: str) -> dict[str, Any]:
    top = [{"token": "A", "logprob": -0.25, "bytes": None}]
    return {"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": top}


def answer(body: dict[str, Any], text: str = "Hello.", **choice: Any) -> tuple[int, dict[str, Any]]:
    logprobs = [logprob(token) for token in ("Hello", ".", "<|im_end|>")]
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "stop_reason": None, "message": message} | choice
    choice["logprobs"] = {"content": logprobs, "refusal": None} if body.get("logprobs") else None
    usage = {"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 43}
    told = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return 200, told


def chunk(delta: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """One event of a stream; no delta: the usage at its end."""
    told: dict[str, Any] = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    if delta is None:
        usage = {"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 43}
        return told | {"choices": [], "usage": usage}
    tokens = more.pop("tokens", None)
    logprobs = None if tokens is None else {"content": [logprob(token) for token in tokens], "refusal": None}
    return told | {"choices": [{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": None} | more]}


def streamed(*texts: str, **end: Any) -> list[dict[str, Any]]:
    """What vLLM streams: a piece a token, and the ending token with the last chunk."""
    end = {"finish_reason": "stop", "stop_reason": None, "tokens": ["<|im_end|>"]} | end
    pieces = [chunk({"content": text}, tokens=[text]) for text in texts]
    return [chunk({"role": "assistant", "content": ""}), *pieces, chunk({"content": ""}, **end), chunk(None)]


def wait_until(happened: Callable[[], object], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)
