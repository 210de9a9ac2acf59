"""A video is heard by its sound track, the default one where it has several."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from auricle.audio import load

Sine = Callable[..., np.ndarray]


def loudest_hz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples, n=160_000)).argmax()) / 10


def film(path: Path, tracks: list[tuple[np.ndarray, bool]]) -> Path:
    """A video with sound tracks of 48 kHz, each with whether it is the default one."""
    with av.open(str(path), "w") as output:
        pictures = output.add_stream("mpeg4", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        sounds = []
        for samples, is_default in tracks:
            stream = output.add_stream("aac", rate=48000, layout="mono")
            stream.disposition = Disposition.default if is_default else Disposition(0)
            frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
            frame.sample_rate = 48000
            sounds.append((stream, frame))
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        for _ in range(10):
            output.mux(pictures.encode(picture))
        output.mux(pictures.encode(None))
        for stream, frame in sounds:
            sizes = av.AudioResampler(format="fltp", frame_size=stream.codec_context.frame_size)
            for part in [*sizes.resample(frame), *sizes.resample(None), None]:
                output.mux(stream.encode(part))
    return path


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.mov", "film.avi"])
def test_the_sound_of_a_film(name: str, tmp_path: Path, sine: Sine):
    waveform = load(film(tmp_path / name, [(sine(1.0, hz=700, rate=48000), True)]))
    assert waveform.duration_s == pytest.approx(1.0, abs=0.05)
    assert loudest_hz(waveform.samples) == pytest.approx(700, abs=2)


@pytest.mark.parametrize("default", [0, 1])
def test_the_default_of_two_sound_tracks(default: int, tmp_path: Path, sine: Sine):
    tracks = [(sine(1.0, hz=hz, rate=48000), number == default) for number, hz in enumerate((500, 900))]
    samples = load(film(tmp_path / "two languages.mkv", tracks)).samples
    assert loudest_hz(samples) == pytest.approx((500, 900)[default], abs=2)
