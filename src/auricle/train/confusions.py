"""A manifest of acoustic confusions out of labelled recordings."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from auricle.data import Labelled, Preference, Record
from auricle.data.confusable import Confusable
from auricle.data.noises import ColouredNoise, NoiseFolder
from auricle.data.preferences import TRANSCRIBE, Length, check_files, misheard, swaps, tones, write_preferences
from auricle.engines import Engine
from auricle.errors import UserError
from auricle.train.noisy import misheard_under_noise, noisy_preferences

Kind = Literal["swaps", "mishearings", "tones", "noisy", "misheard"]
KINDS: tuple[Kind, ...] = ("swaps", "mishearings", "tones", "noisy", "misheard")


@dataclass(frozen=True, slots=True)
class ConfusionSettings:
    """Which confusions are made.

    kinds: `swaps` of two transcripts of like length; `mishearings` of one word; `tones`, sincere against sarcastic;
    `noisy`, the swaps and mishearings again under noise; `misheard`, what a model itself hears wrong under noise.
    tolerance: the most that two answers' tokens differ by, as a share of the longer. noise: a folder of recordings;
    None makes coloured noise.
    """

    kinds: tuple[str, ...] = ("swaps", "mishearings")
    tolerance: float = 0.1
    snr_db: tuple[float, float] = (0.0, 10.0)
    noise: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            raise UserError(f"unknown kind of confusion {unknown[0]!r}: expected one of {', '.join(KINDS)}")
        if not 0 <= self.tolerance <= 1:
            raise UserError(f"the tolerance of lengths must lie in 0 to 1: got {self.tolerance}")
        if self.snr_db[0] > self.snr_db[1]:
            raise UserError(f"the range of snr_db runs from {self.snr_db[0]} to {self.snr_db[1]}; exchange them")


def confusions(
    records: Iterable[Record],
    out: Path,
    *,
    length: Length,
    settings: ConfusionSettings,
    engine: Engine | None = None,
) -> Counter[str]:
    """Write the manifest `out` -> how many pairs of each kind. Noisy recordings lie in a folder beside it.

    Swaps alone give nothing away to one who does not hear: hold these out to measure. In a mishearing the likelier
    sentence is more often right.

    Args:
        records: those that are labelled recordings are used.
        out: a preference manifest, written anew.
        length: tokens of a text.
        settings: which pairs.
        engine: hears what `misheard` keeps.

    Raises:
        UserError: nothing to make pairs of, a recording that cannot be heard or named, `misheard` without an engine, or
            no pair, or none of tones where they were asked for; nothing is written then.
    """
    labelled = [record for record in records if isinstance(record, Labelled)]
    if not labelled:
        raise UserError("no labelled recordings: confusions are made of recordings with their transcripts or labels")
    if "misheard" in settings.kinds and engine is None:
        raise UserError("the kind misheard needs a model that hears; name one")
    if {"swaps", "mishearings", "tones"} & {*settings.kinds}:  # the others write recordings of their own
        check_files(labelled)
    out.parent.mkdir(parents=True, exist_ok=True)
    kept: Counter[str] = Counter()

    def counted() -> Iterator[Preference]:
        for kind, preference in _made(labelled, out, length, settings, engine):
            kept[kind] += 1
            yield preference
        missing = [kind for kind in settings.kinds if not kept[kind]]
        if "tones" in missing:
            raise UserError(
                "no tones: expected recordings labelled sincere and others labelled sarcastic; label some, or leave "
                "the kind tones out"
            )
        if not kept:
            raise UserError(
                f"no pairs of the kinds {', '.join(missing)}: expected recordings whose answers are of like length; "
                "give more of them, or raise the tolerance"
            )

    write_preferences(counted(), out)
    return kept


def _made(
    records: Sequence[Labelled], out: Path, length: Length, settings: ConfusionSettings, engine: Engine | None
) -> Iterator[tuple[Kind, Preference]]:
    noises = ColouredNoise() if settings.noise is None else NoiseFolder(settings.noise)
    folder = out.with_name(f"{out.stem}-noisy")
    rngs = {kind: np.random.default_rng((settings.seed, place)) for place, kind in enumerate(KINDS)}
    clean: dict[Kind, list[Preference]] = {
        "swaps": swaps(records, length, rngs["swaps"], tolerance=settings.tolerance),
        "mishearings": list(_mishearings(records, length, settings.tolerance, rngs["mishearings"])),
        "tones": tones(records, rngs["tones"]),
    }
    for kind, pairs in clean.items():
        if kind in settings.kinds:
            yield from ((kind, one) for one in pairs)
    if "noisy" in settings.kinds:
        pairs = [*clean["swaps"], *clean["mishearings"]]
        yield from (("noisy", one) for one in noisy_preferences(pairs, noises, settings.snr_db, rngs["noisy"], folder))
    if "misheard" in settings.kinds and engine is not None:
        heard = misheard_under_noise(
            [record for record in records if record.task == "asr"],
            engine=engine,
            noises=noises,
            length=length,
            rng=rngs["misheard"],
            folder=folder,
            snr_db=settings.snr_db,
            tolerance=settings.tolerance,
        )
        yield from (("misheard", one) for one in heard)


def _mishearings(
    records: Sequence[Labelled], length: Length, tolerance: float, rng: np.random.Generator
) -> Iterator[Preference]:
    spoken = [record for record in records if record.task == "asr"]
    confusable = Confusable(record.target for record in spoken)
    for record in spoken:
        said = confusable.mishear(record.target, rng)
        if said is not None:
            found = misheard(record, said, str(rng.choice(list(TRANSCRIBE))), length, tolerance)
            if found is not None:
                yield found
