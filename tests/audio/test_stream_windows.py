"""A long recording heard as it is decoded: the same windows as from the whole of it, in the memory of one."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle.audio import Source, Window, cut_windows, load, stream_windows
from auricle.audio.windows import cut_parts
from auricle.errors import UserError

Encode = Callable[..., bytes]
Noise = Callable[..., np.ndarray]
RATE = 16000


def assert_same_windows(source: Callable[[], Source], longest_s: float) -> None:
    waveform = load(source())
    expected = cut_windows(waveform, longest_s=longest_s)
    streamed = list(stream_windows(source(), longest_s=longest_s))
    assert len(streamed) == len(expected)
    start_s = 0.0
    for window, each in zip(streamed, expected, strict=True):
        np.testing.assert_array_equal(window.waveform.samples, each.samples)
        assert window.start_s == pytest.approx(start_s)
        start_s += each.duration_s
        assert window.end_s == pytest.approx(start_s)
    assert start_s == pytest.approx(waveform.duration_s)


@settings(max_examples=30)
@given(
    num_samples=st.integers(0, 8 * RATE),
    cuts=st.lists(st.integers(0, 8 * RATE), max_size=12),
    longest=st.sampled_from([RATE, RATE + 1, 2 * RATE, 3 * RATE]),
)
def test_where_the_cuts_lie_depends_on_the_samples_alone(num_samples: int, cuts: list[int], longest: int):
    samples = np.random.default_rng(num_samples).normal(size=num_samples).astype(np.float32)
    at_once = list(cut_parts([samples], longest))
    in_parts = list(cut_parts(np.split(samples, sorted(min(cut, num_samples) for cut in cuts)), longest))
    assert [len(each) for each in at_once] == [len(each) for each in in_parts]
    np.testing.assert_array_equal(np.concatenate(in_parts), samples)


@pytest.mark.parametrize("longest_s", [1, 4.5, 30])
@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("wav", "pcm_s16le", 16000), ("flac", "flac", 44100), ("mp3", "libmp3lame", 24000), ("ipod", "aac", 16000)],
)
def test_a_file(container: str, codec: str, rate: int, longest_s: float, encode_audio: Encode, noise: Noise):
    contents = encode_audio(noise(62 * RATE / rate)[None], container=container, codec=codec, rate=rate)
    assert_same_windows(lambda: contents, longest_s)


@settings(max_examples=10)
@given(st.one_of(st.integers(321, 70 * RATE), st.integers(-3, 3).map(lambda n: 31 * RATE + n)))
def test_an_array(num_samples: int):
    array = np.random.default_rng(num_samples).normal(0, 0.1, num_samples).astype(np.float32)
    assert_same_windows(lambda: (array, RATE), 30)


@pytest.mark.parametrize(("rate", "dtype"), [(8000, np.int16), (44100, np.float64)])
def test_an_array_of_another_rate_and_type(rate: int, dtype: type, noise: Noise):
    array = (noise(62 * rate / RATE) * (9999 if dtype is np.int16 else 1)).astype(dtype)
    assert_same_windows(lambda: (np.stack([array, array], axis=1), rate), 10)


def test_a_window_comes_before_the_rest_is_decoded(encode_audio: Encode, noise: Noise):
    contents = encode_audio(noise(120)[None], container="wav", codec="pcm_s16le", rate=RATE)
    given: list[int] = []

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            given.append(size or 0)
            return super().read(size)

    first = next(stream_windows(Counted(contents)))
    assert 25 <= first.waveform.duration_s <= 30
    assert sum(given) < len(contents) / 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [RATE, 22050])
def test_no_number_late_in_a_recording_is_refused_when_it_comes(value: float, rate: int, encode_audio: Encode):
    samples = np.zeros(70 * rate, np.float32)
    samples[-9] = value
    contents = encode_audio(samples[None], container="wav", codec="pcm_f32le", rate=rate)
    for source, name in (((samples, rate), "the array"), (contents, "the recording")):
        heard: list[Window] = []
        with pytest.raises(UserError, match=f"samples of {name} are not finite: got NaN or infinity; expected numbers"):
            heard.extend(stream_windows(source))
        assert len(heard) == 2


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ((np.zeros(320, np.float32), RATE), "cannot hear the array: recording too short: got 2 mel frames"),
        ((np.zeros(0, np.float32), RATE), "cannot hear the array: recording too short: got 0 mel frames"),
        (b"", "the recording is empty (0 bytes), expected an audio file"),
        (b"a shopping list " * 99, "cannot decode the recording: "),
        ("nowhere.wav", "no such file: nowhere.wav; check the path"),
    ],
)
def test_what_load_refuses_is_refused_in_the_same_words(source: Source, sentence: str):
    with pytest.raises(UserError) as loading:
        load(source)
    with pytest.raises(UserError) as streaming:
        list(stream_windows(source))
    assert str(streaming.value) == str(loading.value)
    assert str(loading.value).startswith(sentence)


def test_a_wrong_length_is_refused_before_anything_is_opened():
    with pytest.raises(UserError, match=r"longest_s must lie in 1 to 30 s: got 0\.5"):
        stream_windows("nowhere.wav", longest_s=0.5)


# The kernel's high-water mark of this process; ru_maxrss would begin with that of the process that forked it.
MEASURE = """
import sys
from pathlib import Path
import numpy as np
from auricle.audio import load, stream_windows

def peak_mb():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024

def num_samples(source):
    return sum(len(window.waveform.samples) for window in stream_windows(source))

path, array = sys.argv[1], np.ones((20 * 60 * 16000, 2), np.int16)
num_samples((array[: 40 * 16000], 16000))
marks, lengths = [peak_mb()], []
for work in (lambda: num_samples(path), lambda: num_samples((array, 16000)), lambda: len(load(path).samples)):
    lengths.append(work())
    marks.append(peak_mb())
print(*lengths, *np.diff(marks))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux how much memory a process ever had")
@pytest.mark.parametrize("codec", ["pcm_s16le", pytest.param("flac", marks=pytest.mark.slow)])
def test_20_minutes_in_the_memory_of_one_window(codec: str, tmp_path: Path, noise: Noise):
    path = tmp_path / f"long.{'flac' if codec == 'flac' else 'wav'}"
    frame = av.AudioFrame.from_ndarray((noise(60)[None] * 9999).astype(np.int16), "s16", "mono")
    frame.sample_rate = RATE
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=RATE, layout="mono")
        stream.codec_context.open()
        sizes = av.AudioResampler("s16", "mono", RATE, stream.codec_context.frame_size or 2**15)
        for _ in range(20):
            for part in sizes.resample(frame):
                output.mux(stream.encode(part))
        output.mux([*stream.encode(*sizes.resample(None)), *stream.encode(None)])
    done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    *lengths, file_mb, array_mb, loaded_mb = map(float, done.stdout.split())
    assert lengths == [20 * 60 * RATE] * 3
    assert file_mb < 20
    assert array_mb < 20
    assert loaded_mb > 70  # 20 minutes are 77 MB of samples: the measure does see them
