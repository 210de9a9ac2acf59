"""Recordings made to harm whoever decodes them: each harms its own process alone, and its client gets one sentence."""

import io
import os
import re
import struct
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safe_fixtures import SPEECH, TRANSCRIBE, guarded, server_process
from serving import ScriptedService, until

import auricle.serve
from auricle import audio
from auricle.errors import UserError
from auricle.serve.settings import ServeSettings
from auricle.serve.sound import process as decoder_process
from auricle.serve.sound import workers as decoding_workers
from auricle.serve.sound.decoding import Decoder
from auricle.serve.sound.workers import Limits, WorkerDiedError, Workers
from auricle.serve.wire.errors import ApiError

Encode = Callable[..., bytes]
LIMITS = Limits(memory_mb=256, cpu_s=1.0, timeout_s=10.0)

# What a recording that has taken over its decoder might do: the file holds Python, and the decoder runs it.
_TAKEN_OVER = """
import sys
from auricle.serve.sound import process as decoder_process

def decode(file, pipe, name):
    import os
    exec(os.pread(file, 10000, 0).decode(), {"pipe": pipe, "file": file, "os": os})

decoder_process._decode = decode
decoder_process.main()
"""


@pytest.fixture(scope="module")
def taken_over(tmp_path_factory: pytest.TempPathFactory):
    """Workers whose children run what a file says."""
    script = tmp_path_factory.mktemp("decoder") / "taken_over.py"
    script.write_text(_TAKEN_OVER)
    with pytest.MonkeyPatch.context() as patch:
        real = subprocess.Popen

        def popen(command: list[str], **options: object) -> "subprocess.Popen[bytes]":
            return real([command[0], str(script), *command[3:]], **options)  # type: ignore[call-overload,no-any-return]

        patch.setenv("AURICLE_API_KEY", "sk-secret")
        patch.setattr(decoding_workers.subprocess, "Popen", popen)
        workers = Workers()
        workers.start()
    yield workers
    workers.close()


def does(workers: Workers, code: str, limits: Limits = LIMITS) -> list[tuple[bytes, bytes]]:
    """What comes of it, frame by frame."""
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with io.BytesIO(code.encode()) as file:
        import tempfile

        with tempfile.TemporaryFile() as named:
            named.write(file.getvalue())
            named.flush()
            frames = []
            for frame in workers.frames(named.fileno(), "a", limits):
                frames.append(frame)
                if frame[0] == b"E":
                    break
            return frames


END = "os.write(pipe, b'E' + bytes(4))"


def told(text: str) -> str:
    """Code that sends a text back."""
    return f"text = str({text}).encode(); os.write(pipe, b'S' + len(text).to_bytes(4, 'little') + text); {END}"


def test_memory_bomb_is_stopped(taken_over: Workers):
    assert does(taken_over, "x = bytearray(100 * 10**6);" + told("len(x)"))[0] == (b"S", b"100000000")
    start = time.monotonic()
    with pytest.raises(WorkerDiedError):
        does(taken_over, "x = []\nwhile True: x.append(bytearray(10**7))")
    assert time.monotonic() - start < 5


def test_cpu_bomb_is_stopped(taken_over: Workers):
    start = time.monotonic()
    with pytest.raises(WorkerDiedError):
        does(taken_over, "while True: pass")
    assert 0.5 < time.monotonic() - start < 8


def test_a_silent_recording_is_given_up(taken_over: Workers):
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        does(taken_over, "import time; time.sleep(60)", Limits(256, 1.0, timeout_s=0.3))
    assert time.monotonic() - start < 5


def test_a_fork_bombs_children_have_the_same_limits(taken_over: Workers):
    assert re.fullmatch(r"\(1, 1\)", does(taken_over, told("__import__('resource').getrlimit(0)"))[0][1].decode())


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd').read()",
        "open('/tmp/auricle-was-here', 'w')",
        "os.open('/proc/self/environ', os.O_RDONLY)",
        "__import__('socket').socket()",
        "os.pipe()",
        "os.ftruncate(file, 0); os.pwrite(file, b'x' * 100, 0)",
    ],
)
def test_a_taken_over_decoder_opens_and_writes_nothing(taken_over: Workers, code: str):
    assert does(taken_over, told("'alive'"))[0] == (b"S", b"alive")
    with pytest.raises(WorkerDiedError):
        does(taken_over, f"{code}\n{told('1')}")


def test_a_taken_over_decoder_finds_no_secrets(taken_over: Workers):
    environment = does(taken_over, told("sorted(os.environ)"))[0][1].decode()
    assert "PATH" in environment
    assert "AURICLE_API_KEY" not in environment
    is_open = "def is_open(n):\n    try:\n        return os.fstat(n)\n    except OSError:\n        return None\n"
    descriptors = does(taken_over, is_open + told("[n for n in range(3, 256) if is_open(n)]"))[0][1].decode()
    assert len(descriptors.split(",")) == 2  # its recording and its pipe


@pytest.mark.parametrize(
    "sent", [b"S\xff\xff\xff\xff", b"S" + struct.pack("<I", 2**22 + 1), b"S\x04\0\0", b"", b"S\4\0\0\0ab"]
)
def test_a_taken_over_decoder_cannot_flood_the_server(taken_over: Workers, sent: bytes):
    with pytest.raises(WorkerDiedError):
        does(taken_over, f"os.write(pipe, {sent!r})")


@pytest.mark.parametrize("sent", [b"S\3\0\0\0abc", b"X\0\0\0\0", b"Q\4\0\0\0abcd", b"M\0\0\0\0", b""])
def test_what_is_no_sound_is_refused(sent: bytes, taken_over: Workers):
    decoder = Decoder(ServeSettings(decode_memory_mb=256, decode_timeout_s=5))
    decoder.workers = taken_over
    with pytest.raises(UserError, match=r"cannot decode a: it breaks the decoder, or takes more than 5 s or 256 MB"):
        list(decoder.decode(io.BytesIO(f"os.write(pipe, {sent!r})".encode()), "a").blocks())
    slow = Decoder(ServeSettings(decode_timeout_s=0.2))
    slow.workers = taken_over
    with pytest.raises(UserError, match=r"its next second of sound took more than 0\.2 s"):
        list(slow.decode(io.BytesIO(b"import time; time.sleep(9)"), "a").blocks())


def test_a_taken_over_decoder_cannot_forge_or_fill_the_log(taken_over: Workers, caplog: pytest.LogCaptureFixture):
    decoder = Decoder(ServeSettings(decode_timeout_s=5))
    decoder.workers = taken_over
    line = b"W" + struct.pack("<I", 5000) + b"x\nERROR forged\x1b[2J".ljust(5000, b"y")
    assert (
        list(decoder.decode(io.BytesIO(f"for _ in range(99): os.write(pipe, {line!r})\n{END}".encode()), "a").blocks())
        == []
    )
    [record] = [record for record in caplog.records if "auricle.serve" in record.name]
    assert record.getMessage().startswith("x?ERROR forged?[2Jyy")
    assert len(record.getMessage()) == 1000


def bomb(seconds: int) -> bytes:
    """A small FLAC of so much silence."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="flac") as output:
        stream = output.add_stream("flac", rate=16000, layout="mono", options={"strict": "experimental"})
        samples = np.zeros((1, 4096), np.int16)
        for number in range(seconds * 16000 // 4096 + 1):
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate, frame.pts = 16000, number * 4096
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def test_zip_bomb_of_sound_is_cut_off_by_its_duration():
    """Small to send, long to hear: what counts is what was decoded, and only so much is."""
    content = bytearray(bomb(2000))
    content[21] &= 0xF0  # FLAC's own count of samples: 0 means that it is not known
    content[22:26] = bytes(4)
    assert len(content) < 400_000
    decoder = Decoder(ServeSettings(max_duration_s=60))
    try:
        lengths: list[int] = []
        start = time.monotonic()
        with pytest.raises(ApiError, match=r"bomb\.flac is longer than 60 s, the most this server takes") as refused:
            lengths.extend(map(len, decoder.decode(io.BytesIO(content), "bomb.flac").blocks()))
        assert refused.value.status == 413
        assert 59 * 16000 < sum(lengths) <= 60 * 16000
        assert time.monotonic() - start < 10
        exactly = audio.load(decoder.decode(io.BytesIO(bomb(30)), "short.flac"))
        assert exactly.duration_s > 30
    finally:
        decoder.close()


@pytest.mark.parametrize("container", ["flac", "wav"])
def test_a_header_that_states_too_much_is_believed_at_once(container: str):
    content = bomb(200)
    if container == "wav":
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setparams((1, 2, 16000, 0, "NONE", ""))
            writer.writeframes(bytes(2 * 16000 * 200))
        content = file.getvalue()
    decoder = Decoder(ServeSettings(max_duration_s=60))
    try:
        with pytest.raises(ApiError, match="is longer than 60 s") as refused:
            next(iter(decoder.decode(io.BytesIO(content), "long").blocks()))
        assert refused.value.status == 413
    finally:
        decoder.close()


def test_a_wav_that_states_nonsense_is_as_long_as_its_file():
    """As programs write it that cannot go back to the header."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16000, 0, "NONE", ""))
        writer.writeframes(bytes(2 * 16000 * 3))
    content = bytearray(file.getvalue())
    content[4:8] = content[40:44] = b"\xff" * 4
    decoder = Decoder(ServeSettings(max_duration_s=60))
    try:
        assert sum(map(len, decoder.decode(io.BytesIO(content), "streamed").blocks())) == 3 * 16000
    finally:
        decoder.close()


def test_only_so_many_recordings_are_decoded_at_once():
    decoder = Decoder(ServeSettings(max_concurrency=1))
    content = bomb(300)
    try:
        held = [decoder.decode(io.BytesIO(content), "long").blocks() for _ in range(2)]
        assert all(len(next(iter(blocks))) for blocks in held)
        with pytest.raises(ApiError, match="it decodes as many recordings as it may") as refused:
            next(iter(decoder.decode(io.BytesIO(content), "one more").blocks()))
        assert refused.value.status == 429
        held[0].close()  # type: ignore[attr-defined]
        assert len(next(iter(decoder.decode(io.BytesIO(content), "later").blocks())))
        held[1].close()  # type: ignore[attr-defined]
    finally:
        decoder.close()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own")
def test_a_taken_over_decoder_gains_nothing_by_starting_programs(taken_over: Workers):
    code = told("(__import__('resource').getrlimit(6), __import__('ctypes').CDLL(None).prctl(39, 0, 0, 0, 0))")
    assert does(taken_over, code)[0][1] == b"((0, 0), 1)"  # RLIMIT_NPROC, PR_GET_NO_NEW_PRIVS


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="others may not fork there at all")
def test_what_a_taken_over_decoder_started_ends_with_it(taken_over: Workers):
    sleep = "pid = os.fork()\nif not pid:\n    os.close(pipe)\n    __import__('time').sleep(60)\n    os._exit(0)\n"
    started = int(does(taken_over, sleep + told("pid"))[0][1])

    def has_ended() -> bool:
        try:
            return Path(f"/proc/{started}/stat").read_text().rpartition(") ")[2][0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    until(has_ended)


def test_zip_bomb_is_answered_413():
    with guarded(ScriptedService(), max_duration_s=2) as server, server.http() as client:
        form = {"files": {"file": ("long.flac", SPEECH.read_bytes())}, "data": {"model": "m"}}
        answer = client.post(TRANSCRIBE, **form)  # type: ignore[arg-type]
        assert answer.status_code == 413
        assert "longer than 2 s" in answer.json()["error"]["message"]


def test_ffmpeg_never_runs_in_the_server(monkeypatch: pytest.MonkeyPatch):
    """Not even for a recording that it refuses."""
    import av

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("decoded in the server's process")

    with guarded(ScriptedService()) as server, server.http() as client:
        monkeypatch.setattr(av, "open", never)
        for content, status in ((SPEECH.read_bytes(), 200), (b"not sound", 400)):
            form = {"files": {"file": ("a.flac", content)}, "data": {"model": "m"}}
            assert client.post(TRANSCRIBE, **form).status_code == status  # type: ignore[arg-type]


@pytest.mark.slow
def test_pickle_is_never_loaded():
    """A server process that sees pickles in every place where bytes may stand unpickles nothing; nor does its code."""
    evil = b"\x80\x04\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94."
    import httpx

    with server_process() as server:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            for name, content in (("a.pkl", evil), ("a.pt", evil), ("a.flac", SPEECH.read_bytes())):
                client.post(TRANSCRIBE, files={"file": (name, content)}, data={"model": "m"})
            for kind in ("application/json", "application/x-pickle", "application/octet-stream"):
                client.post("/v1/chat/completions", content=evil, headers={"Content-Type": kind})
            client.get("/v1/models", headers={"Cookie": f"session={evil.hex()}"})
        server.process.terminate()
        assert server.process.wait(20) == 0
        assert server.line("unpickled ").startswith("unpickled []; ")


def test_no_module_of_the_server_can_unpickle():
    folder = Path(auricle.serve.__file__).parent
    for path in folder.rglob("*.py"):
        code = path.read_text()
        for word in ("pickle", "torch.load", "multiprocessing", "shelve", "marshal", "np.load", "allow_pickle", "yaml"):
            assert not re.search(
                rf"^(?!\s*#).*\b{re.escape(word)}\b.*\b(import|load)|import {re.escape(word)}", code, re.M
            ), f"{path.name}: {word}"
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, auricle.serve.sound.process as d; print(d.main.__module__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.strip() == decoder_process.__name__
