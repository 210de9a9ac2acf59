"""What a server does under load: every text, every status, memory and throughput, with 64 clients at once.

    python bench/serve_load.py --requests 500 --clients 64 --json load.json

Starts `auricle serve` twice on this machine, with the bundled recordings as the sound. The first server remembers
nothing (`--cache-mb 0`) and answers so many different requests one at a time, then the same ones from all clients at
once: the ratio of both times is the throughput of batching alone. The second is as users start it: it gets requests of
mixed length, among them clients that vanish and uploads that are no recordings. A text is right where it is the text
that the first server gave to that request alone. Memory is that of all the server's processes, after a warm-up with
each different request once, and at the end.

The floor of one step: batch 1 and batch 16 both read all weights once (mini's decoder in float32: 0.54 GB), so batching
pays until the arithmetic (0.27 GFLOP a token) takes as long as the reading.
"""

import argparse
import asyncio
import base64
import io
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import numpy as np

from auricle.audio import load

RECORDINGS = Path(__file__).parents[1] / "examples" / "recordings"
RATE = 16_000
TIMEOUT_S = 600
KINDS = ("transcription", "srt", "streamed transcription", "question", "streamed question", "two recordings", "text")
QUESTIONS = ("What is said?", "What language is spoken in this recording?", "Is this a man or a woman?")
TEXTS = ("What is the capital of France?", "Name three colours.", "Say hello in Spanish.", "How many legs has a dog?")
BROKEN = {  # what is sent -> the status that it must get
    "random bytes": 400,
    "a header without sound": 400,
    "an empty file": 400,
    "no file": 400,
    "half of JSON": 400,
    "an unknown parameter": 400,
    "bad base64": 400,
    "an address inside": 400,
}


@dataclass(frozen=True)
class Asked:
    """One well-formed request: what kind, and the wav files in it."""

    kind: str
    text: str
    wavs: tuple[bytes, ...]


@dataclass
class Outcome:
    """What came of a load: counts, and one line for everything that is not as it should be."""

    right: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    vanished: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """The figures of a run; seconds for `num_alone` requests one at a time, and from all clients at once."""

    num_clients: int
    num_requests: int
    num_alone: int
    alone_s: float
    together_s: float
    ratio: float
    right: int
    broken: dict[str, int]
    vanished: int
    wrong: list[str]
    warm_mb: float
    end_mb: float


def make_requests(num: int, seed: int) -> list[Asked]:
    """So many different ones: 3 to 25 s of speech at different levels, with pauses of a second between recordings."""
    draw = random.Random(seed)
    clips = [load(path).samples for path in sorted(RECORDINGS.glob("*.flac"))]
    asked = []
    for number in range(num):
        kind = KINDS[number % len(KINDS)]
        num_wavs = {"two recordings": 2, "text": 0}.get(kind, 1)
        lengths = (1, 1, 1, 1, 2, 4) if "transcription" in kind or kind == "srt" else (1,)
        wavs = tuple(_wav(draw, clips, draw.choice(lengths)) for _ in range(num_wavs))
        text = f"{draw.choice(TEXTS)} ({number})" if kind == "text" else draw.choice(QUESTIONS)
        asked.append(Asked(kind, text, wavs))
    return asked


def _wav(draw: random.Random, clips: Sequence[np.ndarray], num: int) -> bytes:
    parts: list[np.ndarray] = []
    for _ in range(num):
        parts += [draw.choice(clips) * draw.uniform(0.3, 1.0), np.zeros(RATE, np.float32)]
    samples = (np.concatenate(parts) * 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())
    return file.getvalue()


async def ask(client: httpx.AsyncClient, asked: Asked) -> str:
    """The answer's text; of a stream, its pieces joined."""
    if asked.kind in ("transcription", "srt", "streamed transcription"):
        form = {"model": "whisper-1"} | ({} if asked.kind == "srt" else {"language": "en"})
        form |= {"response_format": "srt"} if asked.kind == "srt" else {}
        form |= {"stream": "true"} if asked.kind.startswith("streamed") else {}
        answer = await client.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", asked.wavs[0])})
    else:
        sounds = [_sound(wav) for wav in asked.wavs]
        content = [*sounds, {"type": "text", "text": asked.text}]
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], "max_tokens": 48}
        body |= {"temperature": 0, "stream": asked.kind.startswith("streamed")}
        answer = await client.post("/v1/chat/completions", json=body)
    if answer.status_code != 200:
        raise ValueError(f"{answer.status_code}: {answer.text[:200]}")
    if asked.kind == "srt":
        return answer.text
    if not asked.kind.startswith("streamed"):
        found = answer.json()
        return found["text"] if "text" in found else found["choices"][0]["message"]["content"]
    return "".join(_deltas(answer.text))


def _sound(wav: bytes) -> dict[str, object]:
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(wav).decode(), "format": "wav"}}


def _deltas(body: str) -> Iterator[str]:
    for data in re.findall(r"^data: (\{.*\})$", body, flags=re.MULTILINE):
        event = json.loads(data)
        if event.get("error"):
            raise ValueError(data)
        if event.get("type") == "transcript.text.delta":
            yield event["delta"]
        elif event.get("choices"):
            yield event["choices"][0]["delta"].get("content") or ""


async def break_in(client: httpx.AsyncClient, how: str, wav: bytes, seed: int) -> int:
    """Send something that is no request -> the status."""
    noise = random.Random(seed).randbytes(5000)
    files = {
        "random bytes": noise,
        "a header without sound": wav[:44],
        "an empty file": b"",
        "an unknown parameter": wav,
    }
    form = {"model": "whisper-1"} | ({"speed": "2"} if how == "an unknown parameter" else {})
    if how in files:
        sent = await client.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", files[how])})
    elif how == "no file":
        sent = await client.post("/v1/audio/transcriptions", files={"model": (None, "whisper-1")})
    elif how == "half of JSON":
        half, kind = b'{"model": "mini", "messages": [', {"Content-Type": "application/json"}
        sent = await client.post("/v1/chat/completions", content=half, headers=kind)
    else:
        part = {"type": "input_audio", "input_audio": {"data": "%%%", "format": "wav"}}
        if how == "an address inside":
            part = {"type": "audio_url", "audio_url": {"url": "https://169.254.169.254/latest"}}
        body = {"model": "mini", "messages": [{"role": "user", "content": [part]}]}
        sent = await client.post("/v1/chat/completions", json=body)
    return sent.status_code


async def vanish(client: httpx.AsyncClient, asked: Asked, after_s: float) -> None:
    """Ask, and be gone before the answer, or in the middle of it."""
    try:
        await asyncio.wait_for(ask(client, asked), after_s)
    except TimeoutError:
        return


async def alone(url: str, requests: Sequence[Asked]) -> tuple[list[str], float]:
    """Every text, one at a time, and the seconds for all."""
    async with _client(url) as client:
        start = time.perf_counter()
        texts = [await ask(client, asked) for asked in requests]
        return texts, time.perf_counter() - start


async def together(
    url: str, requests: Sequence[Asked], texts: Sequence[str], *, num: int, num_clients: int, rude: float, seed: int
) -> Outcome:
    """`num` requests in random order from so many clients; a share of them is broken, and as many clients vanish."""
    draw, outcome = random.Random(seed), Outcome()
    jobs: list[Callable[[httpx.AsyncClient], Awaitable[None]]] = []
    for number in range(num):
        place = number % len(requests)
        what = draw.random()
        if what < rude:
            jobs.append(_breaking(outcome, list(BROKEN)[number % len(BROKEN)], requests[0].wavs[0], number))
        elif what < 2 * rude:
            jobs.append(_vanishing(outcome, requests[place], draw.uniform(0.0, 1.5)))
        else:
            jobs.append(_asking(outcome, requests[place], texts[place]))
    draw.shuffle(jobs)
    start = time.perf_counter()
    await asyncio.gather(*(_work(url, jobs[client::num_clients]) for client in range(num_clients)))
    outcome.seconds = time.perf_counter() - start
    return outcome


async def _work(url: str, jobs: Sequence[Callable[[httpx.AsyncClient], Awaitable[None]]]) -> None:
    async with _client(url) as client:
        for job in jobs:
            await job(client)


def _asking(outcome: Outcome, asked: Asked, text: str) -> Callable[[httpx.AsyncClient], Awaitable[None]]:
    async def job(client: httpx.AsyncClient) -> None:
        try:
            got = await ask(client, asked)
        except (ValueError, httpx.HTTPError) as error:
            got = repr(error)
        if got == text:
            outcome.right += 1
        else:
            outcome.wrong.append(f"{asked.kind}: {got!r}, alone {text!r}")

    return job


def _breaking(outcome: Outcome, how: str, wav: bytes, seed: int) -> Callable[[httpx.AsyncClient], Awaitable[None]]:
    async def job(client: httpx.AsyncClient) -> None:
        status = await break_in(client, how, wav, seed)
        outcome.broken[how] += 1
        if status != BROKEN[how]:
            outcome.wrong.append(f"{how}: {status}, expected {BROKEN[how]}")

    return job


def _vanishing(outcome: Outcome, asked: Asked, after_s: float) -> Callable[[httpx.AsyncClient], Awaitable[None]]:
    async def job(client: httpx.AsyncClient) -> None:
        await vanish(client, asked, after_s)
        outcome.vanished += 1

    return job


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=httpx.Limits(max_keepalive_connections=0))


@contextmanager
def serving(*options: str) -> Iterator[tuple[str, int]]:
    """`auricle serve` on a free port -> its address and its process id; stopped by SIGTERM."""
    command = [sys.executable, "-m", "auricle.cli.main", "serve", "--port", "0", "--no-page", *options]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("wb") as output, subprocess.Popen(command, stderr=output) as server:
            try:
                yield _address(server, log), server.pid
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait(timeout=60)


def _address(server: "subprocess.Popen[bytes]", log: Path) -> str:
    for _ in range(600):
        if found := re.search(r"http://[\d.]+:\d+", log.read_text()):
            return found[0]
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError("the server does not listen")


def memory_mb(pid: int) -> float:
    """Resident memory of a process and all its descendants, each shared page counted once where the kernel says."""
    total, todo = 0.0, [pid]
    while todo:
        one = todo.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            todo += [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except OSError:  # it ended meanwhile
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1]) / 1024  # type: ignore[index]
    return total


def measure(num: int, num_clients: int, num_alone: int, seed: int) -> Report:
    """The whole run."""
    requests = make_requests(num_alone, seed)
    with serving("--cache-mb", "0") as (url, _):
        asyncio.run(alone(url, requests[: len(KINDS)]))  # warm
        texts, alone_s = asyncio.run(alone(url, requests))
        settings = {"num_clients": num_clients, "seed": seed}
        even = asyncio.run(together(url, requests, texts, num=num_alone, rude=0.0, **settings))
    with serving() as (url, pid):
        asyncio.run(together(url, requests, texts, num=num_alone, rude=0.1, **settings))
        warm_mb = memory_mb(pid)
        mixed = asyncio.run(together(url, requests, texts, num=num, rude=0.1, num_clients=num_clients, seed=seed + 1))
        time.sleep(2)  # those who vanished last are noticed
        end_mb = memory_mb(pid)
    return Report(
        num_clients,
        num,
        num_alone,
        alone_s,
        even.seconds,
        alone_s / even.seconds,
        mixed.right + even.right,
        dict(mixed.broken),
        mixed.vanished,
        even.wrong + mixed.wrong,
        warm_mb,
        end_mb,
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--alone", type=int, default=63, help="different requests, asked one at a time first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = measure(options.requests, options.clients, options.alone, options.seed)
    print(json.dumps(asdict(report), indent=2, ensure_ascii=False))
    if options.json:
        options.json.write_text(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
