"""The same recording from a path, bytes, a file object, a pipe or standard input; nothing else is ever opened."""

import io
import os
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from auricle.audio import load, name_of
from auricle.audio.source import _IN_MEMORY_BYTES
from auricle.errors import UserError

Encode = Callable[..., bytes]
Sine = Callable[..., np.ndarray]
FORMATS = [
    ("wav", "pcm_s16le"),
    ("mp3", "libmp3lame"),
    ("flac", "flac"),
    ("ogg", "libopus"),
    ("matroska", "aac"),
    ("ipod", "aac"),  # m4a: its index lies at the end, so reading it needs to seek
]


class Trickle:
    """Only `read`, a few bytes at a time: what a socket or a decompressor may be."""

    def __init__(self, contents: bytes) -> None:
        self._file = io.BytesIO(contents)

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, 777))


class Unseekable(io.BytesIO):
    """A pipe: `seek` and `tell` are there, and fail."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("underlying stream is not seekable")

    def tell(self) -> int:
        raise io.UnsupportedOperation("underlying stream is not seekable")


def from_the_middle(contents: bytes) -> io.BytesIO:
    file = io.BytesIO(b"an envelope" + contents)
    file.seek(len(b"an envelope"))
    return file


@pytest.fixture(scope="module", params=FORMATS, ids=lambda each: each[0])
def contents(request: pytest.FixtureRequest, sine: Sine, encode_audio: Encode) -> bytes:
    container, codec = request.param
    return encode_audio(sine(1.0)[None], container=container, codec=codec, rate=16000)


@pytest.fixture(scope="module")
def wav(sine: Sine, encode_audio: Encode) -> bytes:
    return encode_audio(sine(1.0)[None], container="wav", codec="pcm_s16le", rate=16000)


@pytest.mark.parametrize("wrap", [io.BytesIO, Unseekable, Trickle, from_the_middle, bytearray, memoryview])
def test_every_kind_of_bytes_gives_the_same_sound(wrap: Callable[[bytes], object], contents: bytes):
    np.testing.assert_array_equal(load(wrap(contents)).samples, load(contents).samples)  # type: ignore[arg-type]


def test_an_open_file_stays_open(wav: bytes, tmp_path: Path):
    (tmp_path / "a.wav").write_bytes(wav)
    with (tmp_path / "a.wav").open("rb") as file:
        assert load(file).duration_s == 1.0
        file.seek(0)
        assert load(file).duration_s == 1.0


def test_a_stream_too_long_for_memory(encode_audio: Encode, noise: Callable[..., np.ndarray]):
    contents = encode_audio(noise(300)[None], container="wav", codec="pcm_f32le", rate=16000)
    assert len(contents) > _IN_MEMORY_BYTES
    np.testing.assert_array_equal(load(Unseekable(contents)).samples, load(contents).samples)


def feed(path: Path | int, contents: bytes) -> threading.Thread:
    """Write from another thread, as the other program of a pipeline does."""

    def write() -> None:
        with open(path, "wb") as file:
            file.write(contents)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_named_pipe(contents: bytes, tmp_path: Path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = feed(path, contents)
    np.testing.assert_array_equal(load(path).samples, load(contents).samples)
    thread.join()


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="asks for /dev/fd")
def test_what_a_shell_substitutes(contents: bytes):
    """`auricle transcribe <(ffmpeg ...)` gives /dev/fd/63."""
    read_end, write_end = os.pipe()
    thread = feed(write_end, contents)
    try:
        np.testing.assert_array_equal(load(f"/dev/fd/{read_end}").samples, load(contents).samples)
    finally:
        os.close(read_end)
        thread.join()


@pytest.mark.parametrize("name", ["-", Path("-")])
def test_standard_input(name: str | Path, contents: bytes, monkeypatch: pytest.MonkeyPatch):
    read_end, write_end = os.pipe()
    thread = feed(write_end, contents)
    with os.fdopen(read_end) as file:
        monkeypatch.setattr(sys, "stdin", file)
        np.testing.assert_array_equal(load(name).samples, load(contents).samples)
    thread.join()


def test_standard_input_that_is_a_file_nothing_or_closed(wav: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.wav").write_bytes(wav)
    with (tmp_path / "a.wav").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert load("-").duration_s == 1.0
    with pytest.raises(UserError, match=r"cannot read standard input: I/O operation on closed file; expected"):
        load("-")
    with open(os.devnull) as file:
        monkeypatch.setattr(sys, "stdin", file)
        with pytest.raises(UserError, match=r"standard input is empty \(0 bytes\), expected an audio file"):
            load("-")
    monkeypatch.setattr(sys, "stdin", None)  # Python's own sign of `<&-`
    with pytest.raises(UserError, match="standard input is closed; pipe a recording into it"):
        load("-")


def test_names():
    names = [name_of(source) for source in ("a.wav", Path("b.wav"), "-", b"", io.BytesIO(), (np.zeros(1), 16000))]
    assert names == ["a.wav", "b.wav", "standard input", "the recording", "the recording", "the array"]


@pytest.fixture
def website(tmp_path: Path, wav: bytes) -> Iterator[tuple[str, list[str]]]:
    """Its address, and what was asked of it; it has a.wav."""
    (tmp_path / "a.wav").write_bytes(wav)
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_open_address_is_a_file_object_and_a_named_one_is_not_fetched(website: tuple[str, list[str]], wav: bytes):
    address, asked = website
    with pytest.raises(UserError, match=r"/a\.wav is an address, which is not fetched; download it and give the file"):
        load(f"{address}/a.wav")
    assert asked == []
    with urllib.request.urlopen(f"{address}/a.wav") as body:
        np.testing.assert_array_equal(load(body).samples, load(wav).samples)
    assert asked == ["/a.wav"]


PLAYLISTS = {
    "list.ffconcat": "ffconcat version 1.0\nfile a.wav\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nADDRESS/a.wav\n#EXT-X-ENDLIST\n",
    "call.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_what_a_playlist_names_is_not_opened(name: str, website: tuple[str, list[str]], tmp_path: Path):
    """Or a recording given to a server could read the server's own files and network."""
    address, asked = website
    path = tmp_path / name
    path.write_text(PLAYLISTS[name].replace("ADDRESS", address))
    if name == "list.ffconcat":
        with av.open(str(path)) as container:
            assert next(container.decode(audio=0)).samples  # FFmpeg itself would follow it
    with pytest.raises(UserError, match=f"cannot decode .*{name}: "):
        load(path)
    assert asked == []


@pytest.mark.parametrize("scheme", ["https://example.org/", "ftp://example.org/", "file:///", "rtsp://", "concat:/"])
def test_addresses_of_any_scheme(scheme: str):
    with pytest.raises(UserError, match="is an address, which is not fetched"):
        load(f"{scheme}a.wav")


def test_a_file_whose_name_looks_like_an_address(wav: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("http:").mkdir()
    Path("http:", "a.wav").write_bytes(wav)
    Path("pipe:0").write_bytes(wav)
    assert load("http://a.wav").duration_s == 1.0
    assert load("pipe:0").duration_s == 1.0
