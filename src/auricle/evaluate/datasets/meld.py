"""MELD as its publisher ships it: lines of the series Friends as films, each with one of seven emotions.

    MELD.Raw/dev_sent_emo.csv                       Utterance, Speaker, Emotion, Dialogue_ID, Utterance_ID and more
    MELD.Raw/dev_splits_complete/dia0_utt0.mp4      in MELD.Raw/dev.tar.gz
    MELD.Raw/test_sent_emo.csv
    MELD.Raw/output_repeated_splits_test/dia0_utt0.mp4          in MELD.Raw/test.tar.gz

The sound is read out of the films. One line of dev has no film in the release; a film that cannot be heard is found
when it is asked about. What is resampled for intervals, `speaker`, is the dialogue: neighbouring lines of a scene share
voices, mood and room, and six characters speak most of the lines, too few to resample. The character stands in details.
Poria et al., arXiv:1810.02508; https://affective-meld.github.io (GPL-3.0; the films are not the publisher's).
"""

from collections.abc import Iterator
from pathlib import Path

from auricle.errors import UserError
from auricle.evaluate.datasets.tables import csv_rows
from auricle.evaluate.datasets.transcripts import nearest, paired
from auricle.evaluate.download import RemoteFile, Watch, fetch
from auricle.evaluate.official_names import meld_speaker
from auricle.evaluate.prompts import EMOTION
from auricle.evaluate.sample import Sample
from auricle.evaluate.unpack import unpack

EMOTIONS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
ARCHIVE = RemoteFile(
    "MELD.Raw.tar.gz",
    (
        "https://huggingface.co/datasets/declare-lab/MELD/resolve/main/MELD.Raw.tar.gz",
        "https://web.eecs.umich.edu/~mihalcea/downloads/MELD.Raw.tar.gz",
    ),
    num_bytes=10_878_146_150,
    sha256="a56b4407d574195cbce470d86f9c9d72fcfea59b0e34502ecd4babee4a5c613e",
)
_FILMS = {"dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
_NO_FILM = {"dev": {"dia110_utt7"}}  # github.com/declare-lab/MELD, issue 22
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")


def download(folder: Path, watch: Watch | None = None, *, archive: RemoteFile = ARCHIVE) -> None:
    """Fetch the release, 11 GB, and unpack the films of dev and test, not those of train.

    Raises:
        UserError: it cannot be downloaded or unpacked.
    """
    unpack(fetch(archive, folder, watch=watch), folder, wanted=_is_not_train, watch=watch)
    for split in _FILMS:
        for packed in nearest(folder, f"{split}.tar.gz"):
            unpack(packed, packed.parent, watch=watch)


def read(folder: Path) -> list[Sample]:
    """The samples of dev and test, or of the one that is there.

    Args:
        folder: `MELD.Raw`, or a folder that holds it.

    Raises:
        UserError: there is no table, films are missing or still packed, or an emotion is none of the seven.
    """
    tables = {split: found[0] for split in _FILMS if (found := nearest(folder, f"{split}_sent_emo.csv"))}
    if not tables:
        raise UserError(
            f"no MELD under {folder}; expected MELD.Raw/dev_sent_emo.csv and MELD.Raw/dev_splits_complete/*.mp4, and "
            "those of test"
        )
    return [sample for split, table in tables.items() for sample in _samples(split, table, _films(folder, split))]


def _is_not_train(name: str) -> bool:
    return not Path(name).name.startswith("train")


def _films(folder: Path, split: str) -> Path:
    found = next((path for path in nearest(folder, _FILMS[split]) if path.is_dir()), None)
    if found is None:
        packed = nearest(folder, f"{split}.tar.gz")
        todo = f"unpack {packed[0]} where it is, with tar xzf" if packed else "unpack the whole archive there"
        raise UserError(f"there are no films {_FILMS[split]}/*.mp4 under {folder}; {todo}")
    return found


def _samples(split: str, table: Path, films: Path) -> Iterator[Sample]:
    rows = {f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}": row for row in csv_rows(table, _COLUMNS)}
    emotions = {key: _emotion(row, table) for key, row in rows.items() if key not in _NO_FILM.get(split, set())}
    recordings = {key: path for key in emotions if (path := films / f"{key}.mp4").is_file()}
    for key, emotion, recording in paired(table, emotions, recordings):
        row = rows[key]
        yield Sample(
            id=key,
            dataset="meld",
            source=f"meld_{split}",
            task="emotion",
            audio=recording,
            prompt=EMOTION,
            reference=emotion,
            language="en",
            speaker=meld_speaker(f"meld_{split}", key),
            labels=EMOTIONS,
            details=(
                ("dialogue", f"meld_{split} {row['Dialogue_ID']}"),
                ("character", row["Speaker"]),
                ("utterance", row["Utterance"]),
            ),
        )


def _emotion(row: dict[str, str], table: Path) -> str:
    emotion = row["Emotion"].strip()
    if emotion not in EMOTIONS:
        raise UserError(f"{table}: {emotion!r} is no emotion of MELD; expected one of {', '.join(EMOTIONS)}")
    return emotion
