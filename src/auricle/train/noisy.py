"""The same speech under noise: recordings made worse and written down, and what a model mishears in them."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from auricle import units
from auricle.audio import Waveform
from auricle.conversation import Audio, Message, Sampling
from auricle.data import Labelled, Preference, Recording
from auricle.data.effects import noise_scale
from auricle.data.noises import Noises
from auricle.data.preferences import TRANSCRIBE, Length, misheard, with_recordings
from auricle.engines import Engine, Request
from auricle.engines.wav import encode_wav

_PEAK = 0.99


def under_noise(
    recording: Recording, noises: Noises, snr_db: tuple[float, float], rng: np.random.Generator, folder: Path
) -> Recording:
    """The recording with noise at a ratio drawn from that range, as a wav file in `folder`.

    The ratio is measured over the samples where there is speech. The file's name is the content's hash.

    Raises:
        UserError: the recording or the noise cannot be read.
    """
    waveform = recording.load()
    noise = noises.draw(len(waveform.samples), rng)
    scale = noise_scale(waveform.samples, noise, float(rng.uniform(*snr_db)))
    mixed = (waveform.samples + scale * noise).astype(np.float32)
    mixed /= max(1.0, float(np.abs(mixed).max(initial=0.0)) / _PEAK)
    wav = encode_wav(Waveform(mixed))
    path = folder / f"{hashlib.sha256(wav).hexdigest()[:32]}.wav"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav)
    return Recording(path, duration_s=len(mixed) / units.SAMPLE_RATE)


def noisy_preferences(
    preferences: Iterable[Preference],
    noises: Noises,
    snr_db: tuple[float, float],
    rng: np.random.Generator,
    folder: Path,
) -> Iterator[Preference]:
    """The same pairs, to be heard under noise: the preferred answer is right there as well."""
    for preference in preferences:
        heard = tuple(under_noise(recording, noises, snr_db, rng, folder) for recording in preference.recordings)
        yield with_recordings(preference, heard, "noisy")


def misheard_under_noise(
    records: Iterable[Labelled],
    *,
    engine: Engine,
    noises: Noises,
    length: Length,
    rng: np.random.Generator,
    folder: Path,
    snr_db: tuple[float, float] = (-5.0, 10.0),
    tolerance: float = 0.25,
    instructions: Sequence[str] = TRANSCRIBE,
    max_new_tokens: int = 256,
) -> Iterator[Preference]:
    """The transcript before what the model itself hears under noise, where that is wrong and of like length.

    Both answers belong to the noisy recording. The noise may be louder than in training: only what is misheard is kept.
    """
    records = iter(records)
    while batch := list(islice(records, engine.batch_size)):
        asked = []
        for record in batch:
            heard = tuple(under_noise(recording, noises, snr_db, rng, folder) for recording in record.recordings)
            asked.append((record, str(rng.choice(list(instructions))), heard))
        requests = [
            Request((Message("user", (*[Audio()] * len(heard), text)),), tuple(one.load() for one in heard))
            for _, text, heard in asked
        ]
        answers = engine.generate(requests, Sampling(max_new_tokens=max_new_tokens))
        for (record, text, heard), answer in zip(asked, answers, strict=True):
            found = misheard(record, answer.text.strip(), text, length, tolerance)
            if found is not None:
                yield with_recordings(found, heard, "noisy")
