"""Recordings in, log-mel out: decoding, resampling and the spectrogram. Knows no text and no model."""

from auricle.audio.load import Source, Waveform, load
from auricle.audio.mel import Mel, log_mel
from auricle.audio.windows import cut_windows

__all__ = ["Mel", "Source", "Waveform", "cut_windows", "load", "log_mel"]
