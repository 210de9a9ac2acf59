"""10,000 mutated uploads through the real HTTP stack: no 500, no crash, nothing that grows."""

import os
import random
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from safe_fixtures import TRANSCRIBE, guarded, open_files
from serving import Running, ScriptedService

from auricle.serve.guard import limits

Encode = Callable[..., bytes]
ALLOWED = {200, 400, 408, 413, 415}
FORMS = (
    ("wav", "pcm_s16le", 16000),
    ("wav", "pcm_f32le", 48000),
    ("wav", "adpcm_ms", 16000),
    ("mp3", "libmp3lame", 44100),
    ("flac", "flac", 16000),
    ("ogg", "libopus", 48000),
    ("webm", "libopus", 48000),
    ("mp4", "aac", 16000),
    ("adts", "aac", 44100),
    ("aiff", "pcm_s16be", 8000),
    ("caf", "pcm_s16be", 16000),
    ("au", "pcm_mulaw", 8000),
    ("matroska", "flac", 16000),
    ("mov", "alac", 44100),
    ("mpegts", "aac", 48000),
    ("flv", "nellymoser", 44100),
    ("amr", "libopencore_amrnb", 8000),
    ("wv", "wavpack", 16000),
    ("avi", "mp2", 44100),
    ("ac3", "ac3", 48000),
    ("tta", "tta", 16000),
)
BOUNDARY = b"fuzz7boundary"
HEAD = b"POST %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%b\r\n"


@pytest.fixture(scope="module")
def seeds(encode_audio: Encode, noise: Callable[..., np.ndarray]) -> list[bytes]:
    """Small recordings of every kind."""
    sound = noise(0.4)[None]
    made = [encode_audio(sound, container=container, codec=codec, rate=rate) for container, codec, rate in FORMS]
    return [
        *made,
        b"",
        b"RIFF",
        b"#EXTM3U\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<?xml?>",
    ]


def mutated(content: bytes, seeds: list[bytes], chance: random.Random) -> bytes:
    """One to five kinds of damage, one after the other."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 5)):
        kind = chance.randrange(8)
        at = chance.randrange(len(data) + 1)
        if kind == 0 and data:
            for _ in range(chance.randint(1, 30)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + chance.randint(1, 100)]
        elif kind == 3:
            data[at:at] = chance.randbytes(chance.randint(1, 300))
        elif kind == 4:
            other = chance.choice(seeds)
            data[at:] = other[chance.randrange(len(other) + 1) :]
        elif kind == 5:
            data[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
        elif kind == 6:
            data[at:at] = data[at : at + chance.randint(1, 500)] * chance.randint(1, 5)
        elif data:  # damage to the head, where formats keep what matters
            data[chance.randrange(min(len(data), 64))] = chance.randrange(256)
    return bytes(data[:200_000])


def request(recording: bytes, chance: random.Random) -> bytes:
    """A whole request; in one of five it is not only the recording that is damaged."""
    fields = [
        (b"model", b"whisper-1"),
        (b"response_format", chance.choice((b"json", b"text", b"srt", b"vtt", b"verbose_json"))),
    ]
    if chance.random() < 0.2:
        fields.append((chance.choice((b"temperature", b"stream", b"language", b"prompt", b"x")), chance.randbytes(9)))
    parts = [b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % field for field in fields]
    name = chance.choice(
        (b"a.wav", b"a.mp3", b"", b"../../etc/passwd", b"a\x00.wav", b"\xff\xfe.flac", b"con.m3u8", b"x" * 300)
    )
    parts.append(b'Content-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b' % (name, recording))
    chance.shuffle(parts)
    body = b"".join(b"--%b\r\n%b\r\n" % (BOUNDARY, part) for part in parts) + b"--%b--\r\n" % BOUNDARY
    kind = b"multipart/form-data; boundary=" + BOUNDARY
    path = chance.choice((TRANSCRIBE.encode(), b"/v1/audio/translations"))
    if chance.random() < 0.2:
        body = mutated(body, [body, recording, b"--" + BOUNDARY], chance)
    if chance.random() < 0.05:
        kind = chance.choice(
            (
                b"multipart/form-data",
                b"application/json",
                b"",
                b"multipart/form-data; boundary=x",
                chance.randbytes(9).hex().encode(),
            )
        )
    headers = b"Content-Type: %b\r\n" % kind
    if chance.random() < 0.1:
        middle = len(body) // 2
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:middle], body[middle:]) if piece)
        return HEAD % (path, headers + b"Transfer-Encoding: chunked\r\n") + chunks + b"0\r\n\r\n"
    said = len(body) if chance.random() > 0.03 else max(0, len(body) - chance.randint(1, 99))
    return HEAD % (path, headers + b"Content-Length: %d\r\n" % said) + body


def status(server: Running, content: bytes) -> int:
    """Of the answer; 0 where the server said nothing at all."""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=60) as sock:
        answer = b""
        with suppress(OSError):  # it may have answered already
            sock.sendall(content)
        with suppress(ConnectionError):
            while piece := sock.recv(65536):
                answer += piece
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def attack(server: Running, seeds: list[bytes], numbers: range) -> Counter[int]:
    def one(number: int) -> int:
        chance = random.Random(number)
        return status(server, request(mutated(chance.choice(seeds), seeds, chance), chance))

    with ThreadPoolExecutor(8) as threads:
        return Counter(threads.map(one, numbers))


@pytest.mark.slow
def test_ten_thousand_mutated_uploads_do_no_harm(seeds: list[bytes], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "_LINGER_S", 0.05)
    monkeypatch.setattr(limits, "_GLANCE_S", 0.05)
    num_requests = int(os.environ.get("AURICLE_FUZZ", "10000"))
    settings = {"max_upload_mb": 1, "max_duration_s": 60, "decode_timeout_s": 20, "decode_memory_mb": 512}
    with guarded(ScriptedService(pieces=["Hello."]), **settings) as server:
        server.gateway.decoder.start()
        pid = server.gateway.decoder.workers.pid
        assert pid is not None
        warm = attack(server, seeds, range(num_requests // 10))
        before = resident_mb(os.getpid()), resident_mb(pid), open_files(), open_files(pid)
        counts = warm + attack(server, seeds, range(num_requests // 10, num_requests))
        after = resident_mb(os.getpid()), resident_mb(pid), open_files(), open_files(pid)
        print(sorted(counts.items()), before, after)
        assert counts.total() == num_requests
        assert set(counts) <= ALLOWED
        assert counts[200] > 0.02 * num_requests  # the control: some are heard
        assert counts[400] > 0.1 * num_requests
        assert server.gateway.decoder.workers.pid == pid  # one process forked for all of them
        assert after[0] < before[0] + 100
        assert after[1] < before[1] + 10
        assert after[2] <= before[2] + 3
        assert after[3] <= before[3] + 1
        assert server.gateway.admission.running == server.gateway.admission.waiting == 0
        with server.http() as client:
            assert client.get("/health").status_code == 200
