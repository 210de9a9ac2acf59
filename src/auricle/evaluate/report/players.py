"""Recordings small enough to travel inside a page: MP3, 16 kHz, one channel, 32 kbit/s."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from auricle import units
from auricle.audio.load import blocks
from auricle.errors import UserError

_BIT_RATE = 32_000
_NUM_BARS = 96  # of the outline that stands for the sound
_TYPE = "audio/mpeg"


@dataclass(frozen=True, slots=True)
class Player:
    """A recording in the page.

    data: a data URI, empty where the recording cannot be played; note then says why. outline: the peak of each of
    96 equal parts, 0 to 1 of the loudest. duration_s: of what is played. cut: there is more than that.
    """

    data: str
    duration_s: float
    outline: tuple[float, ...]
    cut: bool = False
    note: str = ""


def players(paths: Iterable[Path], *, player_s: float, num_bytes: int) -> dict[Path, Player]:
    """One for each recording, in the order given, until the next would not fit in num_bytes of data URIs."""
    made: dict[Path, Player] = {}
    left, full = num_bytes, Player("", 0.0, (), note="not embedded: the report holds as much sound as was asked for")
    for path in paths:
        if path in made:
            continue
        player = _player(path, player_s) if left > 0 else full
        if len(player.data) > left:
            left, player = 0, full
        left -= len(player.data)
        made[path] = player
    return made


def _player(path: Path, player_s: float) -> Player:
    try:
        samples, cut = _beginning(path, round(player_s * units.SAMPLE_RATE))
    except UserError as error:
        return Player("", 0.0, (), note=f"cannot be played: {error}")
    data = base64.b64encode(mp3(samples)).decode("ascii")
    return Player(f"data:{_TYPE};base64,{data}", len(samples) / units.SAMPLE_RATE, outline(samples), cut)


def _beginning(path: Path, num_samples: int) -> tuple[np.ndarray, bool]:
    """float32 [samples], at most num_samples of them, and whether there were more."""
    parts, count = list[np.ndarray](), 0
    for block in blocks(path):
        parts.append(block)
        count += len(block)
        if count > num_samples:
            break
    return np.concatenate(parts)[:num_samples], count > num_samples


def mp3(samples: np.ndarray) -> bytes:
    """The file of float32 [samples] at 16 kHz; louder than full scale is clipped."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as output:
        stream = output.add_stream("libmp3lame", rate=units.SAMPLE_RATE, layout="mono")
        stream.bit_rate = _BIT_RATE
        frame = av.AudioFrame.from_ndarray(np.clip(samples, -1, 1)[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = units.SAMPLE_RATE, 0
        stream.codec_context.open()
        resampler = av.AudioResampler("fltp", "mono", units.SAMPLE_RATE, stream.codec_context.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            output.mux(stream.encode(part))
    return file.getvalue()


def outline(samples: np.ndarray) -> tuple[float, ...]:
    """float32 [samples] -> 96 peaks, 0 to 1 of the loudest; all 0 for silence."""
    edges = np.linspace(0, len(samples), _NUM_BARS + 1).astype(int)
    peaks = [float(np.abs(samples[start:end]).max(initial=0)) for start, end in pairwise(edges)]
    loudest = max(peaks) or 1.0
    return tuple(round(peak / loudest, 2) for peak in peaks)
