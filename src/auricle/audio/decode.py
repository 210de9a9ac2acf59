"""A file's sound track as 16 kHz mono blocks, a second at a time; what is damaged is skipped and said."""

import logging
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import av
import numpy as np

from auricle import units
from auricle.audio.source import READ_ERRORS, cannot_read
from auricle.errors import UserError

RATES = range(1_000, 1_000_001)  # samples/s; a rate outside it is a damaged header or a mix-up, not sound
_NOTHING_ELSE = {"protocol_whitelist": ""}  # a file may name others, by path or URL: FFmpeg then opens none
_STATE_DURATION = ("wav", "w64", "aiff", "flac", "ogg", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")  # FFmpeg's names
_LOG = logging.getLogger(__name__)


def decode_blocks(file: Any, name: str) -> Iterator[np.ndarray]:
    """The default sound track of a file that can seek -> float32 [samples] at 16 kHz, the mean of the channels.

    A packet that cannot be decoded is left out, and a file that breaks off ends there, as with FFmpeg itself; a
    warning says so. Other files and addresses that it names (a playlist does) are never opened.

    Raises:
        UserError: no format that FFmpeg knows, no sound track, or nothing in it can be decoded.
    """
    try:
        with _open_container(file, name) as container:
            yield from resample(_frames(container, _sound_track(container, name), name))
    except av.FFmpegError as error:
        raise UserError(
            f"cannot decode {name}: {_reason(error)}; expected a whole audio file that FFmpeg can read"
        ) from error


def stated_duration_s(file: Any, name: str) -> float | None:
    """The length in s that a file's header states; None where it states none, or FFmpeg only guesses it."""
    try:
        with _open_container(file, name) as container:
            track = _sound_track(container, name)
            if track.duration is None or container.format.name not in _STATE_DURATION:
                return None
            return float(track.duration * track.time_base)
    except (av.FFmpegError, UserError):
        return None  # decoding it says why


def _open_container(file: Any, name: str) -> Any:
    try:
        return av.open(file, mode="r", metadata_errors="ignore", container_options=_NOTHING_ELSE)
    except av.FFmpegError:
        raise
    except READ_ERRORS as error:
        raise cannot_read(name, error) from error


def _sound_track(container: Any, name: str) -> Any:
    """The one marked as default, or the first."""
    tracks = container.streams.audio
    if not tracks:
        raise UserError(f"no sound track in {name}: got a file without audio; give a recording with sound")
    track = container.streams.best("audio") or tracks[0]
    if track.codec_context is None:
        raise UserError(f"cannot decode {name}: FFmpeg has no decoder for its sound; convert it to wav or flac")
    return track


def resample(frames: Iterable[av.AudioFrame]) -> Iterator[np.ndarray]:
    """Frames of any rate and layout -> blocks of a second or less, float32 [samples] at 16 kHz.

    Channels are averaged here: FFmpeg's own mix adds float channels at 0.7 each, louder than full scale and unlike
    every reference. They are packed because PyAV cannot hand out the planes of eight channels or more.
    """
    for _, part in groupby(frames, key=_form):  # joined files change in their middle
        resampler = av.AudioResampler(format="flt", rate=units.SAMPLE_RATE, frame_size=units.SAMPLE_RATE)
        for frame in part:
            yield from map(_mean_of_channels, resampler.resample(frame))
        yield from map(_mean_of_channels, resampler.resample(None))


def _frames(container: Any, stream: Any, name: str) -> Iterator[av.AudioFrame]:
    """Every frame that can be decoded, at least one."""
    num_frames, damage = 0, list[str]()
    for packet in _packets(container, stream, name, damage):
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError as error:
            damage.append(_reason(error))
            continue
        for frame in frames:
            if frame.sample_rate in RATES:
                num_frames += 1
                yield frame
            else:
                damage.append(f"{frame.sample_rate} samples per second")
    if not num_frames:
        reason = damage[-1] if damage else "it holds no sound"
        raise UserError(f"cannot decode {name}: {reason}; expected a whole audio file, copy or record it again")
    if damage:
        _LOG.warning("%s is damaged: left out what cannot be decoded, %d times", name, len(damage))


def _packets(container: Any, stream: Any, name: str, damage: list[str]) -> Iterator[av.Packet]:
    """The packets up to where the file ends or breaks off."""
    try:
        yield from container.demux(stream)
    except av.FFmpegError as error:
        damage.append(_reason(error))
    except READ_ERRORS as error:
        raise cannot_read(name, error) from error


def _form(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _mean_of_channels(frame: av.AudioFrame) -> np.ndarray:
    packed = frame.to_ndarray()[0]
    channels = frame.layout.nb_channels
    return packed if channels == 1 else packed.reshape(-1, channels).mean(axis=1)


def _reason(error: av.FFmpegError) -> str:
    if isinstance(error, av.error.EOFError):
        return "it ends before its first sound"
    return getattr(error, "strerror", None) or str(error)
