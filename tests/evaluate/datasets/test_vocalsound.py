"""VocalSound's release, made small."""

import json
from pathlib import Path

import pytest

from auricle.errors import UserError
from auricle.evaluate.datasets import vocalsound

SOUNDS = ("laughter", "sigh", "cough", "throatclearing", "sneeze", "sniff")
NAMES = {"val": ["m0001_0_cough.wav", "m0001_0_sigh.wav"], "te": [f"f0003_1_{sound}.wav" for sound in SOUNDS]}


def write_list(folder: Path, split: str, names: list[str]) -> Path:
    """The paths are those of the publisher's machines."""
    path = folder / "datafiles" / f"{split}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"data": [{"wav": f"/data/sls/vs/{name}", "labels": "/m/x"} for name in names]}))
    return path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    (tmp_path / "audio_16k").mkdir()
    for split, names in NAMES.items():
        write_list(tmp_path, split, names)
        for name in names:
            (tmp_path / "audio_16k" / name).write_bytes(b"wav")
    (tmp_path / "audio_16k" / "f9999_0_cough.wav").write_bytes(b"of the training set")
    return tmp_path


def test_both_lists_in_their_order(release: Path):
    samples = vocalsound.read(release)
    assert [(s.source, s.audio.name) for s in samples] == [
        *(("vocalsound_valid", name) for name in NAMES["val"]),
        *(("vocalsound_test", name) for name in NAMES["te"]),
    ]
    labels = ["Laughter", "Sigh", "Cough", "Throat clearing", "Sneeze", "Sniff"]
    assert [s.reference for s in samples[2:]] == labels
    assert all(s.labels == tuple(labels) for s in samples)
    assert {s.speaker for s in samples} == {"m0001", "f0003"}
    assert all(s.audio == release / "audio_16k" / s.audio.name for s in samples)
    first = samples[0]
    assert (first.id, first.dataset, first.task, first.language) == ("m0001_0_cough", "vocalsound", "vocal_sound", None)
    assert first.prompt == "Classify the human vocal sound to VocalSound in English:"


def test_one_list_alone_in_a_folder_below(release: Path, tmp_path_factory: pytest.TempPathFactory):
    (release / "datafiles" / "val.json").unlink()
    above = tmp_path_factory.mktemp("above")
    (above / "VocalSound_release_16k").symlink_to(release)
    assert {sample.source for sample in vocalsound.read(above)} == {"vocalsound_test"}


def test_damaged_releases(release: Path, tmp_path_factory: pytest.TempPathFactory):
    (release / "audio_16k" / "f0003_1_sniff.wav").unlink()
    with pytest.raises(UserError, match="1 of 6 transcripts have no recording, such as f0003_1_sniff"):
        vocalsound.read(release)
    write_list(release, "te", ["f0003_1_yawn.wav"])
    with pytest.raises(
        UserError, match=r"te\.json names 'f0003_1_yawn\.wav', which tells no sound; expected an ending"
    ):
        vocalsound.read(release)
    with pytest.raises(
        UserError, match=r"no VocalSound under .*; expected datafiles/val\.json, datafiles/te\.json and"
    ):
        vocalsound.read(tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("text", ["", "[]", '{"data": [{"path": "x"}]}', '{"data": [1]}', '{"data": [{"wav": 1}]}'])
def test_what_is_no_list(release: Path, text: str):
    (release / "datafiles" / "te.json").write_text(text)
    with pytest.raises(UserError, match=r"te\.json is no list of VocalSound; expected an object with `data`"):
        vocalsound.read(release)
