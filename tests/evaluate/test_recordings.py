"""Where the recordings of a list lie: taken as named, or found under a root, or missed and counted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from auricle.errors import UserError
from auricle.evaluate.lists import read_samples
from auricle.evaluate.prompts import recognise
from auricle.evaluate.recordings import require_recordings
from auricle.evaluate.sample import Sample

Lines = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Lines:
    """A list of the given name from its lines."""

    def make(name: str, *lines: dict | str) -> Path:
        path = tmp_path / name
        path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
        return path

    return make


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Path]:
    """A folder of empty files, each under its own path."""

    def make(*names: str) -> Path:
        root = tmp_path / "root"
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return root

    return make


def official(audio: str, source: str, prompt: str = recognise("en"), gt: str = "YES") -> dict:
    return {"audio": audio, "source": source, "prompt": prompt, "gt": gt}


def located(write: Lines, root: Path | None, *audios: str) -> list[Path]:
    return [
        sample.audio for sample in read_samples(write("l.jsonl", *(official(a, "s") for a in audios)), audio_root=root)
    ]


def test_without_a_root_paths_stay_as_they_are(write: Lines):
    assert located(write, None, "gone/1.wav", "/gone/2.wav") == [Path("gone/1.wav"), Path("/gone/2.wav")]


def test_a_recording_is_found_by_the_longest_end_of_its_path(write: Lines, place: Callable[..., Path]):
    root = place("test/wav/1.wav", "dev/wav/1.wav", "dev/wav/2.flac", "dev/wav/2.txt", "3.mp3", "3.wav", "old/3.wav")
    found = located(
        write,
        root,
        "/nas/corpus/dev/wav/1.wav",
        "test/wav/1.wav",
        "C:\\corpus\\dev\\wav\\1.wav",
        "https://host/corpus/test/wav/1.wav?token=a/b.c",
        "/nas/2.wav",  # as flac only
        "/nas/3.wav",  # nothing shared but the name: the one that lies in the root itself
        "3.mp3",
    )
    places = ["dev/wav/1.wav", "test/wav/1.wav", "dev/wav/1.wav", "test/wav/1.wav", "dev/wav/2.flac", "3.wav", "3.mp3"]
    assert found == [root / name for name in places]


def test_an_end_of_a_path_has_no_gap(write: Lines, place: Callable[..., Path]):
    root = place("c/e/1.wav", "e/d/1.wav")
    assert located(write, root, "/nas/c/d/1.wav") == [root / "e/d/1.wav"]


def test_signs_in_an_address_and_linked_folders(write: Lines, place: Callable[..., Path], tmp_path: Path):
    root = place("x/a b.wav")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "2.wav").touch()
    (root / "linked").symlink_to(tmp_path / "other")
    found = located(write, root, "http://host/x/a%20b.wav", "/nas/2.wav")
    assert found == [root / "x" / "a b.wav", root / "linked" / "2.wav"]


def test_a_recording_that_is_where_the_list_says_is_taken_from_there(
    write: Lines, place: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = place("dev/1.wav", "1.wav")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "1.wav").touch()
    assert located(write, root, str(tmp_path / "own" / "1.wav")) == [tmp_path / "own" / "1.wav"]
    monkeypatch.chdir(tmp_path)
    assert located(write, root, "own/1.wav") == [Path("own/1.wav")]


def test_a_name_that_fits_two_recordings_names_both(write: Lines, place: Callable[..., Path]):
    root = place("dev/dia0_utt0.mp4", "test/dia0_utt0.mp4")
    with pytest.raises(UserError, match=r"dia0_utt0.mp4 may be .*dev/dia0_utt0.mp4 or .*test/dia0_utt0.mp4; give a ro"):
        located(write, root, "/nas/dia0_utt0.mp4")
    with pytest.raises(UserError, match=r"1.wav may be .*root/1.flac or .*root/1.mp3; give a root"):
        located(write, place("1.mp3", "1.flac"), "/nas/1.wav")


def test_all_missing_recordings_are_counted_and_some_named(write: Lines, place: Callable[..., Path]):
    root = place("1.wav", "2.txt")
    with pytest.raises(UserError) as error:
        located(write, root, "1.wav", *(f"/nas/{i}.wav" for i in range(2, 9)))
    assert "7 of 8 recordings" in str(error.value)
    assert f"are neither where it says nor under {root}, such as" in str(error.value)
    assert "such as /nas/2.wav, /nas/3.wav, /nas/4.wav; give the folder that holds them" in str(error.value)
    with pytest.raises(UserError, match=r"1 of 1 recordings of .*, such as http://host/5.wav; download them there"):
        located(write, root, "http://host/5.wav")
    with pytest.raises(UserError, match=r"names 1 recordings by address, such as http://host/1.wav; download them"):
        located(write, None, "http://host/1.wav")
    with pytest.raises(UserError, match=r"names 1 recordings by address, such as HTTPS://host/1.wav; download them"):
        located(write, None, "HTTPS://host/1.wav")
    with pytest.raises(UserError, match=r"the audio root .*gone is no folder; give the one that holds the recordings"):
        located(write, root / "gone", "1.wav")


def test_samples_whose_recordings_are_gone_are_refused_before_a_run(place: Callable[..., Path]):
    root = place("1.wav")
    there = Sample("1", "x", "x", "asr", root / "1.wav", "?", "yes")
    gone = Sample("2", "x", "x", "asr", root / "2.wav", "?", "yes")
    require_recordings([there])
    with pytest.raises(UserError, match=r"1 of 2 recordings are not there, such as .*2.wav; put them back"):
        require_recordings([there, gone])
