"""LibriSpeech's layout in miniature: read, and refused where it is not whole."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auricle.audio import load
from auricle.errors import UserError
from auricle.evaluate.datasets import librispeech
from auricle.evaluate.sample import Sample

TEXTS = {
    "dev-clean": {"1272-128104-0000": "MISTER QUILTER IS THE APOSTLE", "1272-128104-0001": "NOR IS HE"},
    "test-other": {"1688-142285-0000": "THERE'S IRON THEY SAY", "1998-15444-0000": "IF CALLED TO A CASE"},
}


@pytest.fixture
def corpus(tmp_path: Path, sine: Callable[..., np.ndarray], encode_audio: Callable[..., bytes]) -> Path:
    """Two splits, the second of two speakers, and a split for training that no evaluation reads."""
    recording = encode_audio(sine(0.5)[None], container="flac", codec="flac", rate=16000)
    root = tmp_path / "LibriSpeech"
    for split, texts in (TEXTS | {"train-clean-100": {"19-198-0000": "NORTHANGER ABBEY"}}).items():
        for key, text in texts.items():
            speaker, chapter, _ = key.split("-")
            folder = root / split / speaker / chapter
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{key}.flac").write_bytes(recording)
            with (folder / f"{speaker}-{chapter}.trans.txt").open("a") as table:
                table.write(f"{key} {text}\n")
    (root / "SPEAKERS.TXT").write_text(";ID  |SEX| SUBSET           |MINUTES| NAME\n")
    return root


def test_every_split_that_is_there_is_read(corpus: Path):
    samples = librispeech.read(corpus)
    assert {sample.id: sample.reference for sample in samples} == TEXTS["dev-clean"] | TEXTS["test-other"]
    assert samples[0] == Sample(
        id="1272-128104-0000",
        dataset="librispeech",
        source="librispeech_dev_clean",
        task="asr",
        audio=corpus / "dev-clean" / "1272" / "128104" / "1272-128104-0000.flac",
        prompt="Detect the language and recognize the speech: <|en|>",
        reference="MISTER QUILTER IS THE APOSTLE",
        language="en",
        speaker="1272",
    )
    assert [(sample.source, sample.speaker) for sample in samples[2:]] == [
        ("librispeech_test_other", "1688"),
        ("librispeech_test_other", "1998"),
    ]
    assert load(samples[3].audio).duration_s == 0.5


@pytest.mark.parametrize("place", ["..", ".", "test-other"])
def test_any_folder_of_the_layout_may_be_given(corpus: Path, place: str):
    assert librispeech.read(corpus / place)[-1].id == "1998-15444-0000"


def test_the_working_directory_may_be_a_split(corpus: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(corpus / "test-other")
    assert {sample.source for sample in librispeech.read(Path())} == {"librispeech_test_other"}


def test_it_is_looked_for_three_folders_down_and_read_once(corpus: Path, tmp_path: Path):
    deep = tmp_path / "1" / "2"
    (deep / "a").mkdir(parents=True)
    (deep / "a" / "LibriSpeech").symlink_to(corpus)
    (deep / "b").mkdir()
    (deep / "b" / "LibriSpeech").symlink_to(corpus)
    assert len(librispeech.read(deep.parent)) == 4
    (corpus.parent / "far").mkdir()
    (corpus.parent / "far" / "0").symlink_to(deep.parent)
    with pytest.raises(UserError, match="no LibriSpeech under"):
        librispeech.read(corpus.parent / "far")


def test_lines_may_end_as_on_other_machines(corpus: Path):
    before = librispeech.read(corpus)
    for table in corpus.rglob("*.trans.txt"):
        table.write_bytes(table.read_bytes().replace(b"\n", b" \r\n"))
    assert librispeech.read(corpus) == before


def test_transcripts_without_recordings_are_counted(corpus: Path):
    (corpus / "dev-clean" / "1272" / "128104" / "1272-128104-0001.flac").unlink()
    with pytest.raises(
        UserError, match=r"dev-clean: 1 of 2 transcripts have no recording, such as 1272-128104-0001; unp"
    ):
        librispeech.read(corpus)


def test_recordings_without_transcripts_are_counted(corpus: Path, caplog: pytest.LogCaptureFixture):
    table = corpus / "dev-clean" / "1272" / "128104" / "1272-128104.trans.txt"
    table.write_text("1272-128104-0000 MISTER QUILTER\n")
    with caplog.at_level(logging.WARNING):
        assert [sample.id for sample in librispeech.read(corpus / "dev-clean")] == ["1272-128104-0000"]
    assert "dev-clean: left out 1 recordings without a transcript, such as 1272-128104-0001" in caplog.text
    caplog.clear()
    table.write_text("1272-128104-0000 MISTER QUILTER\n1272-128104-0001\n")
    assert len(librispeech.read(corpus / "dev-clean")) == 1
    assert "dev-clean: left out 1 empty transcripts, such as 1272-128104-0001" in caplog.text
    table.unlink()
    with pytest.raises(UserError, match=r"dev-clean: none of 2 recordings has a transcript; unpack the whole archive"):
        librispeech.read(corpus / "dev-clean")


def test_two_transcripts_of_one_recording_are_refused(corpus: Path):
    table = corpus / "dev-clean" / "1272" / "128104" / "1272-128104.trans.txt"
    table.write_text(table.read_text() * 2)  # the same twice is no contradiction
    assert len(librispeech.read(corpus / "dev-clean")) == 2
    table.write_text(f"{table.read_text()}1272-128104-0000 MISSUS QUILTER\n")
    with pytest.raises(
        UserError, match=r"1272-128104.trans.txt says two things of 1272-128104-0000; unpack the archive"
    ):
        librispeech.read(corpus)


def test_a_folder_without_the_layout_is_refused(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(
            UserError, match=r"no LibriSpeech under .*; expected LibriSpeech/SPLIT/SPEAKER/CHAPTER/\*.flac"
        ):
            librispeech.read(folder)
