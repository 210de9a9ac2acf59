"""A recording that cannot be heard is refused with one sentence that says which and why."""

import io
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from auricle.audio import Source, load
from auricle.errors import UserError

Encode = Callable[..., bytes]
TONE = np.zeros(1600, np.float32)


def refusal(source: Source) -> str:
    with pytest.raises(UserError) as caught:
        load(source)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 500
    return sentence


def test_missing_file(tmp_path: Path):
    assert re.fullmatch(r"no such file: .*nowhere\.wav; check the path", refusal(tmp_path / "nowhere.wav"))


def test_name_too_long_for_the_system():
    assert re.fullmatch(r"cannot read a+: File name too long; check the path", refusal("a" * 300))


def test_name_with_a_null_byte():
    assert "no such file" in refusal("a\0.wav")


def test_directory(tmp_path: Path):
    assert re.search(r"is a directory, expected an audio file", refusal(str(tmp_path)))


def test_empty_file(tmp_path: Path):
    path = tmp_path / "empty.wav"
    path.touch()
    assert re.search(r"empty\.wav is empty \(0 bytes\)", refusal(path))


def test_empty_bytes():
    assert refusal(b"") == "the recording is empty (0 bytes), expected an audio file"


def test_text_called_wav(tmp_path: Path):
    path = tmp_path / "notes.wav"
    path.write_text("this is a shopping list, no sound\n" * 50)
    assert re.search(r"cannot decode .*notes\.wav: .*expected a whole audio file", refusal(path))


def test_text_as_bytes_never_prints_the_bytes():
    assert refusal(b"secret words " * 100).startswith("cannot decode the recording: ")


def test_wav_of_nothing_but_its_header(tmp_path: Path, encode_audio: Encode):
    whole = encode_audio(TONE[None], container="wav", codec="pcm_s16le", rate=16000)
    path = tmp_path / "cut.wav"
    path.write_bytes(whole[: whole.index(b"data") + 8])
    assert "cut.wav" in refusal(path)
    path.write_bytes(whole[:20])
    assert "cut.wav" in refusal(path)


def test_video_without_sound(tmp_path: Path):
    path = tmp_path / "silent film.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        output.mux([*stream.encode(frame), *stream.encode(None)])
    assert re.search(r"no sound track in .*silent film\.mkv", refusal(path))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_samples_that_are_no_numbers(value: float, rate: int):
    samples = np.zeros(rate, np.float32)
    samples[7] = value
    assert re.fullmatch(
        r"samples of the array are not finite: got NaN or infinity; expected .*", refusal((samples, rate))
    )


def test_file_whose_samples_are_no_numbers(encode_audio: Encode):
    samples = np.full((1, 16000), np.nan, np.float32)
    contents = encode_audio(samples, container="wav", codec="pcm_f32le", rate=16000)
    assert "samples of the recording are not finite" in refusal(contents)


def test_too_short_names_the_recording(tmp_path: Path, encode_audio: Encode):
    path = tmp_path / "click.wav"
    path.write_bytes(encode_audio(TONE[None, :320], container="wav", codec="pcm_s16le", rate=16000))
    assert re.search(r"click\.wav: recording too short: got 2 mel frames of 10 ms, expected at least 3", refusal(path))
    assert "too short: got 2" in refusal((TONE[:320], 16000))
    assert len(load((TONE[:321], 16000)).samples) == 321


@pytest.mark.parametrize("rate", [8000, 16000])
def test_no_samples_at_all(rate: int):
    assert "the array: recording too short: got 0" in refusal((TONE[:0], rate))
    assert "the array: recording too short: got 0" in refusal((np.zeros((0, 2)), rate))


@pytest.mark.parametrize(
    "array",
    [
        np.float32(1),
        np.zeros((2, 3, 4)),
        np.zeros((2, 16000)),
        np.zeros((16000, 0)),
        np.zeros(100, complex),
        np.array(["a"] * 100),
        np.zeros(100, bool),
    ],
    ids=["scalar", "three axes", "channels first", "no channel", "complex", "text", "bool"],
)
def test_arrays_that_are_no_sound(array: np.ndarray):
    assert re.fullmatch(r"array of \S+ and shape \(.*\): expected numbers, \[samples\] or .*", refusal((array, 16000)))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_whole_numbers_of_unknown_full_scale(dtype: type):
    """Python's own integers land here: scaled by 2**63 they would be silence."""
    assert re.fullmatch(
        r"array of u?int64: its full scale is unknown; convert it to int16, int32 or .*",
        refusal((np.ones(16000, dtype), 16000)),
    )


def test_numbers_too_large_for_float32():
    assert "samples of the array are not finite" in refusal((np.full(16000, 1e300), 16000))


def test_what_numpy_cannot_take():
    needs_grad = torch.zeros(16000, requires_grad=True)
    for array in ([[1.0], [1.0, 2.0]], needs_grad):
        assert refusal((array, 16000)).endswith("; give numbers as NumPy holds them")  # type: ignore[arg-type]


def test_array_and_rate_in_the_wrong_order():
    assert "expected numbers, [samples]" in refusal((16000, np.zeros(500)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rate",
    [0, 1, 999, -16000, 0.5, 22050.5, float("nan"), float("inf"), 1_000_001, 10**12, "16000", None, True],
)
def test_rates_that_are_none(rate: object):
    assert re.fullmatch(r"rate .* of the array: expected a whole number .*", refusal((TONE, rate)))  # type: ignore[arg-type]


def test_a_whole_rate_in_another_type_is_taken():
    for rate in (8000.0, np.float64(8000), np.int32(8000)):
        assert load((TONE, rate)).duration_s == pytest.approx(0.2, abs=0.001)  # type: ignore[arg-type]


class Reads:
    """A file object that gives whatever it holds."""

    def __init__(self, piece: object) -> None:
        self.piece = piece

    def read(self, size: int, /) -> object:
        return self.piece


@pytest.mark.parametrize(("piece", "kind"), [("text", "str"), (None, "NoneType"), (7, "int")])
def test_file_object_that_gives_no_bytes(piece: object, kind: str):
    sentence = f"reading the recording gives {kind}, expected bytes; open the file in binary mode, 'rb'"
    assert refusal(Reads(piece)) == sentence  # type: ignore[arg-type]


def test_file_open_as_text(tmp_path: Path):
    (tmp_path / "a.wav").write_text("no sound")
    with (tmp_path / "a.wav").open() as file:
        assert "gives str, expected bytes; open the file in binary mode, 'rb'" in refusal(file)  # type: ignore[arg-type]
    assert "gives str, expected bytes" in refusal(io.StringIO("no sound"))  # type: ignore[arg-type]


def test_closed_file(tmp_path: Path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with (tmp_path / "a.wav").open("rb") as file:
        pass
    sentence = (
        r"cannot read the recording: (read|I/O operation|seek) (of|on) closed file; expected an open file of bytes"
    )
    assert re.fullmatch(sentence, refusal(file))


def test_file_object_at_its_end():
    file = io.BytesIO(b"RIFF")
    file.read()
    assert refusal(file) == (
        "the recording is empty (0 bytes), expected an audio file; it stands at byte 4, rewind it with seek(0)"
    )
    assert refusal(Reads(b"")) == "the recording is empty (0 bytes), expected an audio file"


@pytest.mark.parametrize("source", [None, 5, ["a.wav"], {}, object()])
def test_what_is_no_recording(source: object):
    assert refusal(source) == (  # type: ignore[arg-type]
        f"a recording is a path, bytes, a binary file object or (array, rate): got {type(source).__name__}"
    )


def test_array_without_its_rate():
    assert refusal(TONE).endswith("got ndarray; give an array together with its rate")  # type: ignore[arg-type]
    assert refusal((TONE,)) == "a tuple of 1: expected (array, rate)"  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_named_pipe_that_gives_nothing(tmp_path: Path):
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.open("wb").close())
    writer.start()
    assert refusal(path) == f"{path} is empty (0 bytes), expected an audio file"
    writer.join()


def test_name_below_a_file(tmp_path: Path):
    (tmp_path / "a.wav").touch()
    assert refusal(tmp_path / "a.wav" / "b.wav").startswith("no such file: ")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_file_without_permission(tmp_path: Path):
    path = tmp_path / "locked.wav"
    path.write_bytes(b"RIFF")
    path.chmod(0)
    assert re.search(r"cannot read .*locked\.wav: no permission", refusal(path))
