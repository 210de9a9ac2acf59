"""Recordings in, log-mel out: decoding, resampling and the spectrogram. Knows no text and no model."""

from auricle.audio.load import Waveform, load
from auricle.audio.mel import Mel, log_mel
from auricle.audio.source import Decoded, Readable, Source, name_of
from auricle.audio.voice_activity import SpeechDetector, SpeechEnded, SpeechEvent, SpeechStarted, VoiceActivity
from auricle.audio.window import Window
from auricle.audio.windows import Windows, cut_windows, stream_windows

__all__ = [
    "Decoded",
    "Mel",
    "Readable",
    "Source",
    "SpeechDetector",
    "SpeechEnded",
    "SpeechEvent",
    "SpeechStarted",
    "VoiceActivity",
    "Waveform",
    "Window",
    "Windows",
    "cut_windows",
    "load",
    "log_mel",
    "name_of",
    "stream_windows",
]
