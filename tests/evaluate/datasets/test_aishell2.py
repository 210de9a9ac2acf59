"""AISHELL-2's test set in miniature: read, and refused where it is not whole."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auricle.errors import UserError
from auricle.evaluate.datasets import aishell2
from auricle.evaluate.sample import Sample

TEXTS = {"T0011W0001": "换一首歌", "T0011W0002": "GPRS怎么开", "T0012W0001": "三月 二日"}


@pytest.fixture
def corpus(tmp_path: Path, sine: Callable[..., np.ndarray], encode_audio: Callable[..., bytes]) -> Path:
    """Two of the three channels, and the development set that no published row has."""
    recording = encode_audio(sine(0.5)[None], container="wav", codec="pcm_s16le", rate=16000)
    root = tmp_path / "AISHELL-DEV-TEST-SET"
    for part in ("iOS/test", "Android/test", "iOS/dev"):
        texts, files = [], []
        for key, text in TEXTS.items():
            name = f"wav/{key[:5]}/{part[0].upper()}{key}.wav"
            path = root / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(recording)
            texts.append(f"{path.stem}\t{text}\n")
            files.append(f"{path.stem}\t{name}\n")
        (root / part / "trans.txt").write_text("".join(texts), encoding="utf-8")
        (root / part / "wav.scp").write_text("".join(files), encoding="utf-8")
    return root


def test_every_channel_that_is_there_is_read(corpus: Path):
    samples = aishell2.read(corpus)
    assert [sample.source for sample in samples] == ["aishell2_ios"] * 3 + ["aishell2_android"] * 3
    assert [sample.reference for sample in samples] == [*TEXTS.values()] * 2
    assert [sample.speaker for sample in samples] == ["T0011", "T0011", "T0012"] * 2
    assert samples[0] == Sample(
        id="IT0011W0001",
        dataset="aishell2",
        source="aishell2_ios",
        task="asr",
        audio=corpus / "iOS" / "test" / "wav" / "T0011" / "IT0011W0001.wav",
        prompt="Detect the language and recognize the speech: <|zh|>",
        reference="换一首歌",
        language="zh",
        speaker="T0011",
    )
    assert all(sample.audio.is_file() for sample in samples)


@pytest.mark.parametrize(("place", "count"), [("..", 6), (".", 6), ("iOS", 3), ("Android/test", 3)])
def test_any_folder_of_the_layout_may_be_given(corpus: Path, place: str, count: int):
    assert len(aishell2.read(corpus / place)) == count


def test_channels_are_told_apart_in_any_case(corpus: Path):
    (corpus / "Android").rename(corpus / "MIC")
    assert {sample.source for sample in aishell2.read(corpus)} == {"aishell2_ios", "aishell2_mic"}


def test_half_a_channel_is_refused(corpus: Path, caplog: pytest.LogCaptureFixture):
    test = corpus / "iOS" / "test"
    table = (test / "trans.txt").read_text(encoding="utf-8")
    (test / "trans.txt").write_text(table.split("\n", 1)[0], encoding="utf-8")
    assert len(aishell2.read(corpus / "iOS")) == 1
    assert "left out 2 recordings without a transcript, such as IT0011W0002, IT0012W0001" in caplog.text
    (test / "trans.txt").write_text(table, encoding="utf-8")
    (test / "wav" / "T0012" / "IT0012W0001.wav").unlink()
    with pytest.raises(UserError, match=r"iOS/test: 1 of 3 transcripts have no recording, such as IT0012W0001"):
        aishell2.read(corpus)
    (test / "wav.scp").unlink()
    with pytest.raises(UserError, match=r"iOS/test has no wav.scp; expected wav.scp, trans.txt and wav, unpack"):
        aishell2.read(corpus)
    (corpus / "Android" / "test" / "trans.txt").unlink()
    with pytest.raises(UserError, match=r"Android/test has no trans.txt; expected wav.scp"):
        aishell2.read(corpus / "Android")


def test_a_packed_or_absent_test_set_is_refused(tmp_path: Path):
    with pytest.raises(
        UserError, match=r"no AISHELL-2 test set under .*; expected CHANNEL/test/\{wav.scp,trans.txt,wav\}"
    ):
        aishell2.read(tmp_path)
    (tmp_path / "iOS").mkdir()
    with tarfile.open(tmp_path / "iOS" / "test.tar.gz", "w:gz"):
        pass
    with pytest.raises(UserError, match=r"iOS/test.tar.gz is still packed; unpack it where it is, with tar xzf"):
        aishell2.read(tmp_path)
