"""VocalSound as its publisher ships it: six sounds that people make without words, one recording each.

    audio_16k/f0003_0_throatclearing.wav            speaker, which of the speaker's collections, sound
    datafiles/{val,te}.json                         {"data": [{"wav": "/anywhere/f0003_0_cough.wav", ...}, ...]}

How the official list spells its right answers is not published. They are taken to be the display names of the
publisher's own labels (class_labels_indices_vs.csv), `Throat clearing` among them: the paths in datafiles are those of
its machines, the sound is read off the file's name. val (1855) and te (3591) are the published 5446.
Gong et al., ICASSP 2022; https://github.com/YuanGongND/vocalsound (CC BY-SA 4.0).
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath

from auricle.data.reading import read_bytes, text_of
from auricle.errors import UserError
from auricle.evaluate.datasets.transcripts import nearest, paired
from auricle.evaluate.prompts import VOCAL_SOUND
from auricle.evaluate.sample import Sample

LABELS = {  # as file names end -> as the publisher displays it
    "laughter": "Laughter",
    "sigh": "Sigh",
    "cough": "Cough",
    "throatclearing": "Throat clearing",
    "sneeze": "Sneeze",
    "sniff": "Sniff",
}
_SPLITS = {"valid": "val.json", "test": "te.json"}


def read(folder: Path) -> list[Sample]:
    """The samples of both splits, or of the one that is there.

    Args:
        folder: holds `audio_16k` and `datafiles`, or a folder that does.

    Raises:
        UserError: there is no list, recordings are missing, or a name tells no sound.
    """
    lists = {split: found[0] for split, name in _SPLITS.items() if (found := nearest(folder, f"datafiles/{name}"))}
    if not lists:
        raise UserError(
            f"no VocalSound under {folder}; expected datafiles/val.json, datafiles/te.json and audio_16k/*.wav"
        )
    return [sample for split, path in lists.items() for sample in _samples(split, path)]


def _samples(split: str, path: Path) -> Iterator[Sample]:
    sounds = path.parent.parent / "audio_16k"
    labels = {PurePath(name).stem: _label(name, path) for name in _names(path)}
    recordings = {stem: file for stem in labels if (file := sounds / f"{stem}.wav").is_file()}
    for stem, label, recording in paired(path, labels, recordings):
        yield Sample(
            id=stem,
            dataset="vocalsound",
            source=f"vocalsound_{split}",
            task="vocal_sound",
            audio=recording,
            prompt=VOCAL_SOUND,
            reference=label,
            speaker=stem.partition("_")[0],
            labels=tuple(LABELS.values()),
        )


def _names(path: Path) -> list[str]:
    """File names, in the list's order."""
    try:
        return [PurePosixPath(entry["wav"]).name for entry in json.loads(text_of(read_bytes(path), str(path)))["data"]]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} is no list of VocalSound; expected an object with `data`, of entries with `wav`"
        ) from error


def _label(name: str, path: Path) -> str:
    sound = PurePath(name).stem.rpartition("_")[2]
    if sound not in LABELS:
        raise UserError(
            f"{path} names {name!r}, which tells no sound; expected an ending such as _{'.wav, _'.join(LABELS)}.wav"
        )
    return LABELS[sound]
