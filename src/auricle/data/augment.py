"""A random version of a recording: speed, room, noise, telephone, loudness, and masks on its spectrogram."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from auricle import units
from auricle.audio import Mel, Waveform
from auricle.data import effects
from auricle.data.noises import ColouredNoise, NoiseFolder, Noises
from auricle.data.settings import AugmentSettings
from auricle.errors import UserError

_DECAY_S = (0.1, 0.6)  # a furnished room to a bare one
_DIRECT_DB = (0.0, 12.0)  # a far microphone to a near one
_PEAK = 0.99  # of full scale; nothing gets louder
_FEWEST_SAMPLES = 2 * units.HOP_SAMPLES + 1  # three mel frames: less makes no audio token
# SpecAugment's LibriSpeech basic policy (Park et al. 2019, table 1): one mask of up to 27 of 80 mel bins, one of up to
# 100 frames. Its recordings last 12 s on average, so that the second is 8 % of one: longer ones get more, shorter less.
_MASKED_BINS = 27 / 80
_MASKED_FRAMES = 100
_MASKED_TIME = 0.08
_FRAMES_PER_MASK = 1200


@dataclass(frozen=True, slots=True)
class Mask:
    """Mel bins or frames `first` to before `end` of one window, filled with the window's mean."""

    axis: Literal["frequency", "time"]
    window: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a recording.

    speed: times faster. decay_s: of the room, by 60 dB. snr_db: of speech over noise, where there is speech.
    gain_db: as applied, lowered where the drawn one would clip. None: not done.
    """

    speed: float = 1.0
    decay_s: float | None = None
    snr_db: float | None = None
    telephone: bool = False
    gain_db: float = 0.0
    masks: tuple[Mask, ...] = ()


class Augmenter:
    """Draws changes and makes them: the same generator, the same result to the last bit."""

    def __init__(self, settings: AugmentSettings, noises: Noises) -> None:
        _check(settings)
        self.settings = settings
        self._noises = noises

    @classmethod
    def of(cls, settings: AugmentSettings) -> "Augmenter":
        """With the noise that the settings name.

        Raises:
            UserError: a chance or a range makes no sense, or there is no such folder of noise.
        """
        return cls(settings, ColouredNoise() if settings.noise is None else NoiseFolder(settings.noise))

    @property
    def slowest(self) -> float:
        """The least factor that a speed is drawn from: a recording becomes at most 1 / slowest times as long."""
        speed_changes = self.settings.chance > 0 and self.settings.speed_chance > 0
        return min(1.0, self.settings.speed[0]) if speed_changes else 1.0

    def change(self, waveform: Waveform, rng: np.random.Generator) -> tuple[Waveform, Change | None]:
        """A random version and what was done; the recording itself and None where it is left as it is.

        Speed, room, noise, telephone and loudness, in this order. A telephone's band is cut out of speech and noise
        before they are mixed, so that the ratio is that of what is heard.

        Raises:
            UserError: a noise recording cannot be heard.
        """
        drawn, room_rng, noise_rng = self._draw(rng)
        if drawn is None:
            return waveform, None
        speech = waveform.samples
        if drawn.speed != 1.0 and round(len(speech) / drawn.speed) >= _FEWEST_SAMPLES:
            speech = effects.change_speed(speech, drawn.speed)
        else:
            drawn = replace(drawn, speed=1.0)
        if drawn.decay_s is not None:
            response = effects.impulse_response(drawn.decay_s, room_rng.uniform(*_DIRECT_DB), room_rng)
            speech = effects.add_room(speech, response)
        if drawn.telephone:
            speech = effects.narrow(speech)
        mixed, drawn = self._mix(speech, drawn, noise_rng)
        if drawn.telephone:
            mixed = effects.compand(mixed)
        peak = float(np.abs(mixed).max())
        gain = min(10 ** (drawn.gain_db / 20), _PEAK / peak if peak else math.inf)
        changed = (mixed * np.float32(gain)).astype(np.float32)
        return Waveform(changed), replace(drawn, gain_db=20 * math.log10(gain))

    def mask(self, mels: Sequence[Mel], change: Change, rng: np.random.Generator) -> tuple[list[Mel], Change]:
        """The windows of a changed recording, with masks at their chance; the change with the masks in it."""
        if rng.random() >= self.settings.mask_chance:
            return list(mels), change
        masks = tuple(mask for window, mel in enumerate(mels) for mask in draw_masks(mel, window, rng))
        return [
            apply_masks(mel, [mask for mask in masks if mask.window == window]) for window, mel in enumerate(mels)
        ], replace(change, masks=masks)

    def _draw(self, rng: np.random.Generator) -> tuple[Change | None, np.random.Generator, np.random.Generator]:
        """What to do; always the same number of draws, so that no setting changes what another one draws."""
        settings = self.settings
        is_changed, has_speed, has_room, has_noise, is_telephone = rng.random(5) < (
            settings.chance,
            settings.speed_chance,
            settings.room_chance,
            settings.noise_chance,
            settings.telephone_chance,
        )
        speed, snr_db, gain_db = (rng.uniform(*ends) for ends in (settings.speed, settings.snr_db, settings.gain_db))
        decay_s = rng.uniform(*_DECAY_S)
        room_rng, noise_rng = (np.random.default_rng(seed) for seed in rng.integers(2**63, size=2))
        drawn = Change(
            speed=speed if has_speed else 1.0,
            decay_s=decay_s if has_room else None,
            snr_db=snr_db if has_noise else None,
            telephone=bool(is_telephone),
            gain_db=gain_db,
        )
        return drawn if is_changed else None, room_rng, noise_rng

    def _mix(self, speech: np.ndarray, drawn: Change, rng: np.random.Generator) -> tuple[np.ndarray, Change]:
        if drawn.snr_db is None:
            return speech, drawn
        noise = self._noises.draw(len(speech), rng)
        noise = effects.narrow(noise) if drawn.telephone else noise
        scale = effects.noise_scale(speech, noise, drawn.snr_db)
        return (speech + np.float32(scale) * noise, drawn) if scale else (speech, replace(drawn, snr_db=None))


def draw_masks(mel: Mel, window: int, rng: np.random.Generator) -> list[Mask]:
    """SpecAugment's LibriSpeech basic policy, without its time warp: one mask of frequency, one of time for each 12 s.

    No mask of time is longer than 1 s or 8 % of the window's real frames.
    """
    num_bins, num_frames = mel.features.shape[0], mel.num_frames
    longest = min(_MASKED_FRAMES, int(_MASKED_TIME * num_frames))
    masks = [Mask("frequency", window, *_stretch(num_bins, int(_MASKED_BINS * num_bins), rng))]
    for _ in range(-(-num_frames // _FRAMES_PER_MASK)):
        masks.append(Mask("time", window, *_stretch(num_frames, longest, rng)))
    return masks


def apply_masks(mel: Mel, masks: Sequence[Mask]) -> Mel:
    """A copy, masked places filled with the mean of the real frames."""
    features = mel.features.clone()
    mean = mel.features[:, : mel.num_frames].mean()
    for mask in masks:
        dim = 0 if mask.axis == "frequency" else 1
        torch.narrow(features, dim, mask.first, mask.end - mask.first).fill_(mean)
    return Mel(features, mel.num_frames)


def _stretch(size: int, longest: int, rng: np.random.Generator) -> tuple[int, int]:
    """A random width of 0 to `longest`, at a random place within `size`."""
    width = int(rng.integers(longest + 1))
    first = int(rng.integers(size - width + 1))
    return first, first + width


def _check(settings: AugmentSettings) -> None:
    for name in ("chance", "noise_chance", "speed_chance", "room_chance", "telephone_chance", "mask_chance"):
        if not 0 <= getattr(settings, name) <= 1:
            raise UserError(f"augment.{name} is a chance: got {getattr(settings, name)!r}; give a number from 0 to 1")
    for name, least, most in (("speed", 0.5, 2.0), ("snr_db", -50.0, 100.0), ("gain_db", -60.0, 60.0)):
        low, high = getattr(settings, name)
        if not least <= low <= high <= most:
            raise UserError(
                f"augment.{name} is a range: got {low!r} to {high!r}; give two rising numbers from {least} to {most}"
            )
