"""How long a recording is, before it is decoded, and how many audio tokens it can become: for planning packs."""

import io
import math
from functools import lru_cache
from typing import BinaryIO

import av

from auricle import units
from auricle.data.records import Recording

_SLACK_SAMPLES = units.SAMPLE_RATE // 20  # 50 ms: what rounding in a manifest or a header, and resampling, may hide
_LEAST_WINDOW_SAMPLES = 24 * units.SAMPLE_RATE  # windows are cut in the last 5 s of 30 s; where 1 s is left, of 29 s
_KNOWN = 2**16  # recordings whose header is read once
_NOTHING_ELSE = {"protocol_whitelist": ""}  # a file may name others: FFmpeg then opens none


def most_samples(recording: Recording) -> int:
    """The most samples at 16 kHz that it is believed to have: what is stated, and 50 ms.

    Raises:
        UserError: nothing is stated, neither by the manifest nor by the container, and it cannot be decoded.
    """
    stated_s = duration_s(recording) if recording.duration_s is None else recording.duration_s
    return math.ceil(stated_s * units.SAMPLE_RATE) + _SLACK_SAMPLES


def most_tokens(num_samples: int) -> int:
    """The most audio tokens of a recording of so many samples or fewer, wherever its windows are cut.

    A window of n samples makes at most n / 640 + 1/2 tokens: 640 samples a token, frames and states rounded up.
    """
    if num_samples <= units.WINDOW_SAMPLES:
        return units.tokens_from_frames(units.frames_from_samples(num_samples))
    num_windows = 1 + num_samples // _LEAST_WINDOW_SAMPLES
    return num_samples * units.TOKENS_PER_S // units.SAMPLE_RATE + 1 + num_windows // 2


@lru_cache(maxsize=_KNOWN)
def duration_s(recording: Recording) -> float:
    """As its container states it; decoded and counted where it does not.

    Raises:
        UserError: it has to be decoded and cannot be.
    """
    stated_s = None
    try:
        with _open(recording) as file:
            stated_s = _stated_s(file)
    except (OSError, ValueError, av.FFmpegError):
        pass  # decoding says what is wrong
    return recording.load().duration_s if stated_s is None else stated_s


def _open(recording: Recording) -> BinaryIO:
    file = recording.path.open("rb")
    if recording.offset is None:
        return file
    with file:
        file.seek(recording.offset)
        return io.BytesIO(file.read(recording.num_bytes))


def _stated_s(file: BinaryIO) -> float | None:
    """Of the sound track, else of the whole file; None where neither says."""
    with av.open(file, "r", metadata_errors="ignore", container_options=_NOTHING_ELSE) as container:
        track = container.streams.best("audio")
        if track is not None and track.duration is not None and track.time_base is not None:
            return float(track.duration * track.time_base)
        return None if container.duration is None else container.duration / av.time_base
