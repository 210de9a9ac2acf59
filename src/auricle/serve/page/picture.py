"""What was heard, drawn: the waveform, and the log-mel spectrogram as the model reads it."""

import base64
import html
import io
import math
import threading
from collections.abc import Iterator

import numpy as np

from auricle import units
from auricle.audio import Waveform, log_mel

MEL_BINS = 80  # what the embedded model reads; the published one reads 128 of the same spectrum
_MOST_COLUMNS = 1200  # of a picture; as many pixels as a wide screen gives it
_COARSE_HZ = 10  # columns a second of a recording longer than one window
_TICKS = 5  # about so many times under a picture
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
# Five colours from dark to light, evenly spaced in lightness, so that loudness reads in either scheme and in print.
_RAMP = np.array([(16, 20, 46), (58, 40, 112), (139, 52, 118), (224, 96, 84), (253, 231, 164)], dtype=np.float32)


class Heard:
    """Collects a recording block by block: all of the first 30 s, ten columns a second of the rest."""

    def __init__(self) -> None:
        self.num_samples = 0
        self._lock = threading.Lock()  # one thread decodes, another draws
        self._first: Waveform | None = None
        self._window: list[np.ndarray] = []
        self._in_window = 0
        self._low: list[np.ndarray] = []
        self._high: list[np.ndarray] = []
        self._mel: list[np.ndarray] = []

    @property
    def duration_s(self) -> float:
        """Seconds heard so far."""
        return self.num_samples / units.SAMPLE_RATE

    def add(self, block: np.ndarray) -> None:
        """The next samples, float32 [samples] at 16 kHz."""
        with self._lock:
            self.num_samples += len(block)
            while len(block):
                taken = block[: units.WINDOW_SAMPLES - self._in_window]
                self._window.append(taken)
                self._in_window += len(taken)
                block = block[len(taken) :]
                if self._in_window == units.WINDOW_SAMPLES:
                    self._close_window()

    def follow(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The same blocks, noted as they pass."""
        for block in blocks:
            self.add(block)
            yield block

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """lowest [columns], highest [columns] and mel [mel_bins, columns] of all that was heard, at most 1,200 columns.

        Too short a recording for the model gives no columns.
        """
        with self._lock:
            return self._columns()

    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first = self._first or Waveform(_joined(self._window))
        if self.num_samples <= units.WINDOW_SAMPLES:
            return _columns(first, _MOST_COLUMNS)
        low, high, mel = list(self._low), list(self._high), list(self._mel)
        if self._in_window >= units.SAMPLE_RATE / _COARSE_HZ:
            rest = _coarse(Waveform(_joined(self._window)))
            low, high, mel = [*low, rest[0]], [*high, rest[1]], [*mel, rest[2]]
        lowest, highest, bins = np.concatenate(low), np.concatenate(high), np.concatenate(mel, axis=1)
        starts = _starts(len(lowest), _MOST_COLUMNS)
        return (
            np.minimum.reduceat(lowest, starts),
            np.maximum.reduceat(highest, starts),
            _pooled(bins.astype(np.float32), starts),
        )

    def _close_window(self) -> None:
        window = Waveform(_joined(self._window))
        if self._first is None:
            self._first = window
        for kept, part in zip((self._low, self._high, self._mel), _coarse(window), strict=True):
            kept.append(part)
        self._window, self._in_window = [], 0


def draw(heard: Heard, name: str) -> str:
    """A figure in HTML: the waveform over the mel, seconds below; nothing where too little was heard."""
    low, high, mel = heard.columns()
    if not len(low):
        return ""
    title = html.escape(name, quote=True)
    length = clock(heard.duration_s)
    peak = max(float(np.abs(low).max()), float(np.abs(high).max()))
    loudness = "silence" if peak == 0 else f"peak {20 * math.log10(peak):.0f} dB of full scale"
    return (
        '<figure class="heard">'
        f"<figcaption>{title} <span>{length}</span></figcaption>"
        f'<div class="wave" role="img" aria-label="Waveform of {title}: {length}, {loudness}">{_wave(low, high)}</div>'
        f'<img class="mel" src="{_png(mel)}" '
        f'alt="Log-mel spectrogram of {title}: {length}, {MEL_BINS} mel bins, high ones at the top">'
        f'<div class="bins" aria-hidden="true"><span>{MEL_BINS}</span><span>mel bins</span><span>0</span></div>'
        f'<div class="times" aria-hidden="true">{_times(heard.duration_s)}</div>'
        "</figure>"
    )


def clock(seconds: float) -> str:
    """A length: 4.2 s, 1:04 or 1:02:03."""
    return f"{seconds:.1f} s" if round(seconds, 1) < 60 else stamp(round(seconds))


def stamp(seconds: float) -> str:
    """A place in a recording: 0:04, 1:04 or 1:02:03."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _columns(waveform: Waveform, num: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if units.frames_from_samples(len(waveform.samples)) < 3:  # makes no audio token: there is no spectrogram
        nothing = np.zeros(0, np.float32)
        return nothing, nothing, np.zeros((MEL_BINS, 0), np.float32)
    mel = log_mel(waveform, num_mel_bins=MEL_BINS)
    features = mel.features[:, : mel.num_frames].numpy()
    starts = _starts(features.shape[1], num)
    edges = starts * units.HOP_SAMPLES
    samples = waveform.samples
    return np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges), _pooled(features, starts)


def _coarse(window: Waveform) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, high, mel = _columns(window, math.ceil(window.duration_s * _COARSE_HZ))
    return low, high, mel.astype(np.float16)


def _joined(blocks: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _starts(num: int, most: int) -> np.ndarray:
    """Where each of at most `most` even parts of `num` columns begins."""
    parts = min(num, most)
    return np.arange(parts) * num // max(1, parts)


def _pooled(bins: np.ndarray, starts: np.ndarray) -> np.ndarray:
    widths = np.diff(np.append(starts, bins.shape[1]))
    return np.add.reduceat(bins, starts, axis=1) / widths


def _wave(low: np.ndarray, high: np.ndarray) -> str:
    """An outline of both edges, 2 high around 0, stretched to any size; loud and soft recordings look alike."""
    scale = 0.98 / max(1e-3, float(np.abs(low).max()), float(np.abs(high).max()))
    upper = [f"{x} {-value * scale:.3f}" for x, value in enumerate(high)]
    lower = [f"{x} {-value * scale:.3f}" for x, value in enumerate(low)]
    path = "M" + "L".join((*upper, *reversed(lower))) + "Z"
    return (
        f'<svg viewBox="0 -1 {max(1, len(low) - 1)} 2" preserveAspectRatio="none" focusable="false">'
        f'<path d="{path}" vector-effect="non-scaling-stroke"/></svg>'
    )


def _png(mel: np.ndarray) -> str:
    """[mel_bins, columns] as a data address; the quietest 2 % and the loudest value span the colours."""
    from PIL import Image

    floor, peak = float(np.quantile(mel, 0.02)), float(mel.max())
    place = np.clip((mel - floor) / max(peak - floor, 1e-6), 0, 1) * (len(_RAMP) - 1)
    below = np.minimum(place.astype(int), len(_RAMP) - 2)
    share = (place - below)[..., None]
    pixels = _RAMP[below] * (1 - share) + _RAMP[below + 1] * share
    file = io.BytesIO()
    Image.fromarray(pixels[::-1].round().astype(np.uint8)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _times(duration_s: float) -> str:
    step = next((step for step in _STEPS_S if duration_s / step <= _TICKS), _STEPS_S[-1])
    marks = [number * step for number in range(int(duration_s / step * 0.94) + 1)]
    written = [f"{mark:g} s" if duration_s < 60 else stamp(mark) for mark in marks]
    return "".join(
        f'<span style="left:{100 * mark / duration_s:.2f}%">{text}</span>'
        for mark, text in zip(marks, written, strict=True)
    )
