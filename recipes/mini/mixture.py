"""Which clips are trained on, how often, and which are held out to watch the run."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auricle.evaluate.datasets.debian_split import normalise
from clips import Clip, read_manifest

# How often a pass sees each clip: the prompts are few and clean, everything else comes once.
SPEECH = {"asterisk-en": 4, "queen": 1, "sky": 1, "drascula": 1, "synth": 1, "tuxpaint": 1}
OTHER_LANGUAGES = ("asterisk-es", "asterisk-fr", "asterisk-it", "asterisk-ru")
OTHER_CLIPS_EACH = 180  # a pass, for naming the language only
TEST_SETS = ("asterisk-en", "librivox")
DEV_EACH = {"asterisk-en": 24, "queen": 36, "sky": 24, "synth": 24}
MIN_S, MAX_S = 0.35, 25.5  # slowed down and padded it still fits one window


@dataclass(frozen=True, slots=True)
class Mixture:
    """One pass over the training clips, in the order they are seen, and the held-out ones (never test data).

    pool: every clip that any pass may draw, once; a superset of the clips in `train` and `dev`.
    """

    train: list[Clip]
    dev: list[Clip]
    pool: list[Clip]

    @classmethod
    def read(cls, root: Path, *, seed: int) -> "Mixture":
        """Read every manifest below `root`; test clips, test texts and held-out clips are left out of `train`."""
        rng = np.random.default_rng(seed)
        forbidden = {normalise(clip.text) for name in TEST_SETS for clip in _read(root, name) if clip.split == "test"}
        dev: list[Clip] = []
        train: list[Clip] = []
        pool: list[Clip] = []
        for name, repeats in SPEECH.items():
            clips = [clip for clip in _read(root, name) if _usable(clip) and clip.language == "en"]
            clips = [clip for clip in clips if normalise(clip.text) not in forbidden]
            held = [clip for clip in clips if _digit(clip.id) == "3"][: DEV_EACH.get(name, 0)]
            dev += held
            pool += clips
            train += [clip for clip in clips if clip not in held] * repeats
        held_texts = {normalise(clip.text) for clip in dev}
        train = [clip for clip in train if normalise(clip.text) not in held_texts]
        for name in OTHER_LANGUAGES:
            clips = [clip for clip in _read(root, name) if _usable(clip)]
            train += [clips[i] for i in rng.permutation(len(clips))[:OTHER_CLIPS_EACH]]
            pool += clips
        return cls([train[i] for i in rng.permutation(len(train))], dev, pool)


def _read(root: Path, name: str) -> list[Clip]:
    path = root / f"{name}.jsonl"
    return read_manifest(path) if path.exists() else []


def _usable(clip: Clip) -> bool:
    return clip.split == "train" and MIN_S <= clip.duration_s <= MAX_S and bool(normalise(clip.text))


def _digit(identity: str) -> str:
    return hashlib.sha1(identity.encode()).hexdigest()[-1]
