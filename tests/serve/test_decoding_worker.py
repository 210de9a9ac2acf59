"""The process that decodes: it gives what `audio.load` gives, gives up in time, and leaves nothing behind."""

import io
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safe_fixtures import SPEECH, open_files
from serving import until

from auricle import audio
from auricle.errors import UserError
from auricle.serve.settings import ServeSettings
from auricle.serve.sound.decoding import Decoder

Encode = Callable[..., bytes]
Sine = Callable[..., np.ndarray]
FORMS = (
    ("wav", "pcm_s16le", 44100),
    ("mp3", "libmp3lame", 44100),
    ("flac", "flac", 48000),
    ("ogg", "libopus", 24000),
    ("webm", "libopus", 48000),
    ("mp4", "aac", 16000),
    ("aiff", "pcm_s24be", 8000),
)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(ServeSettings())
    made.start()
    yield made
    made.close()


@pytest.mark.parametrize(("container", "codec", "rate"), FORMS)
def test_every_format_is_sample_identical(
    decoder: Decoder, encode_audio: Encode, sine: Sine, container: str, codec: str, rate: int
):
    """A child opens no file and loads no module for it either."""
    both = np.stack([sine(1.7, rate=rate), sine(1.7, hz=700.0, rate=rate)])
    encoded = encode_audio(both, container=container, codec=codec, rate=rate)
    expected = audio.load(encoded).samples
    assert len(expected) > 16000
    for make in (io.BytesIO, tempfile.SpooledTemporaryFile, tempfile.TemporaryFile):
        with make() as file:
            file.write(encoded)  # stands at its end, and is not flushed
            np.testing.assert_array_equal(audio.load(decoder.decode(file, "a")).samples, expected)  # type: ignore[arg-type]


def test_two_read_one_file_at_once(decoder: Decoder):
    """Each has a place of its own in it."""
    expected = audio.load(SPEECH).samples
    with SPEECH.open("rb") as file:
        one, other = (decoder.decode(file, "a").blocks() for _ in range(2))
        pairs = list(zip(one, other, strict=True))
    for samples in zip(*pairs, strict=True):
        np.testing.assert_array_equal(np.concatenate(samples), expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the recording is empty"),
        (b"milk, bread, and no sound at all\n" * 99, "cannot decode bad.wav: Invalid data"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "cannot decode bad.wav"),
    ],
)
def test_what_cannot_be_heard_is_said_as_by_load(decoder: Decoder, content: bytes, message: str):
    with pytest.raises(UserError, match=message):
        audio.load(decoder.decode(io.BytesIO(content), "bad.wav"))


def test_too_short_and_not_finite_are_said_with_the_name(decoder: Decoder, encode_audio: Encode, sine: Sine):
    short = encode_audio(sine(0.02)[None], container="wav", codec="pcm_s16le", rate=16000)
    with pytest.raises(UserError, match=r"cannot hear short\.wav: recording too short"):
        audio.load(decoder.decode(io.BytesIO(short), "short.wav"))
    infinite = encode_audio(np.full((1, 16000), np.inf), container="wav", codec="pcm_f32le", rate=16000)
    with pytest.raises(UserError, match=r"samples of inf.wav are not finite"):
        audio.load(decoder.decode(io.BytesIO(infinite), "inf.wav"))


def test_damage_is_one_line_of_the_servers_log(
    decoder: Decoder, encode_audio: Encode, noise: Sine, caplog: pytest.LogCaptureFixture
):
    damaged = bytearray(encode_audio(noise(2.0)[None], container="mp3", codec="libmp3lame", rate=16000))
    damaged[2000:3000] = bytes(1000)
    heard = audio.load(decoder.decode(io.BytesIO(bytes(damaged)), "a.mp3"))
    lines = [record.getMessage() for record in caplog.records if "auricle.serve" in record.name]
    assert len(lines) == 1
    assert lines[0].startswith("a.mp3 is damaged: left out what cannot be decoded, ")
    np.testing.assert_array_equal(heard.samples, audio.load(bytes(damaged)).samples)


def test_a_name_cannot_write_into_the_log(decoder: Decoder):
    name = "a\n2026 ERROR root: forged\x1b[2J" + "b" * 200
    decoded = decoder.decode(io.BytesIO(b"x"), name)
    assert len(decoded.name) <= 100
    assert decoded.name.isprintable()
    with pytest.raises(UserError, match=r"cannot decode b+: ") as refused:
        list(decoded.blocks())
    assert str(refused.value).isprintable()


def test_many_threads_decode_at_once(decoder: Decoder):
    content = SPEECH.read_bytes()
    expected = audio.load(content).samples
    with ThreadPoolExecutor(16) as threads:
        done = [threads.submit(lambda: audio.load(decoder.decode(io.BytesIO(content), "a"))) for _ in range(32)]
        for one in done:
            np.testing.assert_array_equal(one.result().samples, expected)


def test_nothing_is_left_behind(decoder: Decoder):
    """No descriptor here or there, no child, whether a recording was heard, refused or left."""
    content = SPEECH.read_bytes()

    def each_kind() -> None:
        audio.load(decoder.decode(io.BytesIO(content), "a"))
        with pytest.raises(UserError):
            audio.load(decoder.decode(io.BytesIO(b"x"), "a"))
        left = decoder.decode(io.BytesIO(content), "a").blocks()
        next(left)
        left.close()  # type: ignore[attr-defined]
        decoder.decode(io.BytesIO(content), "a")  # never heard

    each_kind()
    pid = decoder.workers.pid
    assert pid is not None
    until(lambda: not children(pid))
    before = open_files(), open_files(pid)
    for _ in range(10):
        each_kind()
    until(lambda: not children(pid))
    assert (open_files(), open_files(pid)) == before


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_recording_that_nobody_hears_on_is_ended(decoder: Decoder, encode_audio: Encode, sine: Sine):
    """Its child stands still while the pipe is full, and is gone once the iterator is closed."""
    pid = decoder.workers.pid
    assert pid is not None
    long = encode_audio(np.tile(sine(1.0), 300)[None], container="wav", codec="pcm_s16le", rate=16000)
    blocks = decoder.decode(io.BytesIO(long), "a").blocks()
    next(blocks)
    time.sleep(0.3)
    [child] = children(pid)
    used_s = cpu_s(child)
    time.sleep(0.3)
    assert cpu_s(child) - used_s <= 0.02
    blocks.close()  # type: ignore[attr-defined]
    until(lambda: not children(pid))


def cpu_s(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_dead_process_is_replaced():
    decoder = Decoder(ServeSettings())
    content = SPEECH.read_bytes()
    expected = audio.load(content).samples
    try:
        decoder.start()
        before = open_files()
        first = decoder.workers.pid
        for _ in range(2):
            pid = decoder.workers.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            np.testing.assert_array_equal(audio.load(decoder.decode(io.BytesIO(content), "a")).samples, expected)
        assert decoder.workers.pid not in (None, first)
        assert open_files() == before
    finally:
        decoder.close()
    assert decoder.workers.pid is None


def test_the_process_ends_with_the_server_and_not_with_a_signal_for_it(decoder: Decoder):
    """A terminal's Ctrl-C, and systemd's SIGTERM for all: the server still finishes what runs."""
    pid = decoder.workers.pid
    assert pid is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    audio.load(decoder.decode(io.BytesIO(SPEECH.read_bytes()), "a"))
    assert decoder.workers.pid == pid
    assert os.getsid(pid) != os.getsid(0)


def test_closing_ends_those_who_wait(encode_audio: Encode, sine: Sine):
    decoder = Decoder(ServeSettings())
    long = encode_audio(np.tile(sine(1.0), 100)[None], container="wav", codec="pcm_s16le", rate=16000)
    blocks = decoder.decode(io.BytesIO(long), "a").blocks()
    next(blocks)
    pid = decoder.workers.pid
    threading.Thread(target=decoder.close).start()
    with pytest.raises(UserError, match="it breaks the decoder"):
        list(blocks)
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_the_working_directory_holds_no_code_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encode_audio: Encode, sine: Sine
):
    recording = encode_audio(sine(1.0)[None], container="wav", codec="pcm_s16le", rate=16000)
    (tmp_path / "wave.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    decoder = Decoder(ServeSettings())
    try:
        assert sum(map(len, decoder.decode(io.BytesIO(recording), "speech").blocks()))
    finally:
        decoder.close()


def test_a_system_that_cannot_fork_is_told_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "fork")
    with pytest.raises(UserError, match="recordings are decoded in forked processes, which linux lacks; use Linux"):
        Decoder(ServeSettings()).start()
