"""MELD's release, made small: tables, and films out of which the sound is read."""

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from local_server import Served, serve

from auricle.audio import load
from auricle.errors import UserError
from auricle.evaluate.datasets import meld
from auricle.evaluate.download import RemoteFile

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
DEV = [
    '1,"Oh my God, he’s lost it.",Phoebe,sadness,negative,0,0,4,7,"00:20:57,256","00:21:00,049"',
    '2,What?,Monica,surprise,negative,0,1,4,7,"00:21:01,927","00:21:03,261"',
    '3,"""Nice!""",Joey,joy,positive,110,6,6,11,"00:07:10,000","00:07:11,000"',
    '4,Did they tell you anything?,Phoebe,neutral,neutral,110,7,6,11,"00:07:11,764","00:07:13,890"',
]
TEST = ['1,Why?,Ross,anger,negative,0,0,4,7,"00:20:57,256","00:21:00,049"']


@pytest.fixture(scope="module")
def film(encode_audio: Callable[..., bytes], sine: Callable[..., np.ndarray]) -> bytes:
    return encode_audio(np.tile(sine(0.5, rate=44100), (2, 1)), container="mp4", codec="aac", rate=44100)


@pytest.fixture
def release(tmp_path: Path, film: bytes) -> Path:
    root = tmp_path / "MELD.Raw"
    for table, films, rows, missing in (
        ("dev_sent_emo.csv", "dev_splits_complete", DEV, "dia110_utt7"),
        ("test_sent_emo.csv", "output_repeated_splits_test", TEST, None),
    ):
        (root / films).mkdir(parents=True)
        (root / table).write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
        for row in rows:
            dialogue, utterance = row.split('"00:')[0].split(",")[-5:-3]
            if (name := f"dia{dialogue}_utt{utterance}") != missing:
                (root / films / f"{name}.mp4").write_bytes(film)
    (root / "output_repeated_splits_test" / "final_videos_testdia0_utt0.mp4").write_bytes(b"")
    return root


def test_lines_with_their_emotions(release: Path):
    """The line without a film is left out, as it has none in the publisher's release."""
    samples = meld.read(release)
    assert [(s.source, s.id, s.reference) for s in samples] == [
        ("meld_dev", "dia0_utt0", "sadness"),
        ("meld_dev", "dia0_utt1", "surprise"),
        ("meld_dev", "dia110_utt6", "joy"),
        ("meld_test", "dia0_utt0", "anger"),
    ]
    first = samples[0]
    assert (first.dataset, first.task, first.language) == ("meld", "emotion", "en")
    assert first.prompt == "Recognize the emotion with keywords in English:"
    assert set(first.labels) == {"neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"}
    assert dict(first.details) == {
        "dialogue": "meld_dev 0",
        "character": "Phoebe",
        "utterance": "Oh my God, he’s lost it.",
    }
    assert dict(samples[2].details)["utterance"] == '"Nice!"'
    assert [dict(sample.details)["dialogue"] for sample in samples[1:3]] == ["meld_dev 0", "meld_dev 110"]


def test_a_line_of_test_that_is_called_as_the_one_without_a_film(release: Path):
    table = release / "test_sent_emo.csv"
    table.write_text(table.read_text() + '2,No., Ross, anger ,negative,110,7,4,7,"00:20:57,256","00:21:00,049"\n')
    (release / "output_repeated_splits_test" / "dia110_utt7.mp4").touch()
    last = meld.read(release)[-1]
    assert (last.source, last.id, last.reference) == ("meld_test", "dia110_utt7", "anger")


def test_what_is_resampled_is_the_dialogue_of_a_split(release: Path):
    speakers = [sample.speaker for sample in meld.read(release)]
    assert speakers[0] == speakers[1]
    assert len({speakers[0], speakers[2], speakers[3]}) == 3  # dialogue 0 of test is another one


def test_the_sound_of_a_film_is_heard(release: Path):
    waveform = load(meld.read(release)[0].audio)
    assert waveform.duration_s == pytest.approx(0.5, abs=0.1)
    assert np.abs(waveform.samples).max() > 0.1


def test_a_broken_film_is_left_to_the_run(release: Path):
    (release / "dev_splits_complete" / "dia0_utt1.mp4").write_bytes(b"\0" * 500)
    sample = meld.read(release)[1]
    with pytest.raises(UserError, match=r"dia0_utt1\.mp4"):
        load(sample.audio)


def test_one_split_alone_and_folders_in_between(release: Path):
    (release / "test_sent_emo.csv").unlink()
    (release / "dev").mkdir()
    (release / "dev_splits_complete").rename(release / "dev" / "dev_splits_complete")
    assert {sample.source for sample in meld.read(release.parent)} == {"meld_dev"}


def test_films_that_are_not_there(release: Path):
    (release / "dev_splits_complete" / "dia0_utt1.mp4").unlink()
    with pytest.raises(UserError, match=r"1 of 3 transcripts have no recording, such as dia0_utt1; unpack"):
        meld.read(release)
    (release / "dev_splits_complete").rename(release / "elsewhere")
    with pytest.raises(UserError, match=r"there are no films dev_splits_complete/\*\.mp4 under .*; unpack the whole"):
        meld.read(release)
    (release / "dev.tar.gz").touch()
    with pytest.raises(UserError, match=r"there are no films .*; unpack \S+/dev\.tar\.gz where it is, with tar xzf"):
        meld.read(release)


def test_damaged_tables(release: Path, tmp_path: Path):
    table = release / "dev_sent_emo.csv"
    table.write_text(table.read_text().replace("sadness", "Sad"))
    with pytest.raises(
        UserError, match=r"dev_sent_emo\.csv: 'Sad' is no emotion of MELD; expected one of neutral, joy"
    ):
        meld.read(release)
    table.write_text("Utterance,Speaker,Emotion\nWhat?,Monica,joy\n")
    with pytest.raises(UserError, match="lacks the column Dialogue_ID, Utterance_ID"):
        meld.read(release)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no MELD under .*empty; expected MELD\.Raw/dev_sent_emo\.csv and"):
        meld.read(tmp_path / "empty")


def packed(folder: Path, names: list[str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name in names:
            tar.add(folder / name, name)
    return data.getvalue()


def test_the_release_is_unpacked_twice_and_train_is_not(release: Path, tmp_path: Path):
    """An archive of archives, as the publisher has it."""
    (release / "train.tar.gz").write_bytes(b"eight gigabytes")
    for name, films in (("dev", "dev_splits_complete"), ("test", "output_repeated_splits_test")):
        (release / f"{name}.tar.gz").write_bytes(packed(release, [films]))
    names = ["dev_sent_emo.csv", "test_sent_emo.csv", "train.tar.gz", "dev.tar.gz", "test.tar.gz"]
    body = packed(release.parent, [f"MELD.Raw/{name}" for name in names])
    with serve() as server:
        server.files["m"] = Served(body)
        file = RemoteFile("MELD.Raw.tar.gz", (server.url("m"),), sha256=hashlib.sha256(body).hexdigest())
        meld.download(tmp_path / "out", archive=file)
        meld.download(tmp_path / "out", archive=file)
    assert len(server.asked) == 1
    assert [s.id for s in meld.read(tmp_path / "out")] == [s.id for s in meld.read(release)]
    assert not list((tmp_path / "out").rglob("train*"))
    assert (tmp_path / "out" / "MELD.Raw" / "dev_splits_complete").is_dir()  # beside its table
