"""Both layouts of FLEURS in miniature: read alike, and refused where they are not whole."""

import builtins
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from auricle.audio import load
from auricle.errors import UserError
from auricle.evaluate.datasets import fleurs
from auricle.evaluate.sample import Sample

ROWS = [  # sentence 1 by two readers
    (1, "100.wav", "“这并不是告别。”", "这 并 不 是 告 别", 8000),
    (1, "200.wav", "“这并不是告别。”", "这 并 不 是 告 别", 16000),
    (2, "300.wav", '"2011年', "2 0 1 1 年", 12000),
]


@pytest.fixture
def wav(sine: Callable[..., np.ndarray], encode_audio: Callable[..., bytes]) -> Callable[[int], bytes]:
    """The bytes of a recording of so many samples, as FLEURS has them: 32-bit floats."""
    return lambda num: encode_audio(sine(num / 16000)[None], container="wav", codec="pcm_f32le", rate=16000)


@pytest.fixture
def as_table(tmp_path: Path, wav: Callable[[int], bytes]) -> Path:
    """The layout of tables with recordings beside them."""
    language = tmp_path / "table" / "data" / "cmn_hans_cn"
    (language / "audio" / "test").mkdir(parents=True)
    lines = [
        f"{key}\t{name}\t{raw}\t{text}\t{' | '.join(text.split())} |\t{num}\tMALE\n"
        for key, name, raw, text, num in ROWS
    ]
    (language / "test.tsv").write_text("".join(lines), encoding="utf-8")
    (language / "train.tsv").write_text("".join(lines).replace("00.wav", "01.wav"), encoding="utf-8")
    for _, name, _, _, num in ROWS:
        (language / "audio" / "test" / name).write_bytes(wav(num))
    return tmp_path / "table"


@pytest.fixture
def as_parquet(tmp_path: Path, wav: Callable[[int], bytes]) -> Path:
    """The layout of parquet files, in two shards."""
    language = tmp_path / "parquet" / "parquet-data" / "cmn_hans_cn"
    language.mkdir(parents=True)
    for shard, rows in enumerate((ROWS[:2], ROWS[2:])):
        write_shard(language / f"test-0000{shard}-of-00002.parquet", rows, wav)
    return tmp_path / "parquet"


def write_shard(path: Path, rows: list, wav: Callable[[int], bytes], **changes: Any) -> None:
    columns = {
        "id": [key for key, *_ in rows],
        "num_samples": [num for *_, num in rows],
        "path": [f"/home/patrick/.cache/test/{name}" for _, name, *_ in rows],
        "audio": [{"bytes": wav(num), "path": f"test/{name}"} for _, name, _, _, num in rows],
        "transcription": [text for *_, text, _ in rows],
        "raw_transcription": [raw for _, _, raw, _, _ in rows],
        "gender": [0] * len(rows),
    } | changes
    kept = {name: values for name, values in columns.items() if values is not None}
    parquet.write_table(pyarrow.table(kept), path)


def test_a_table_is_read(as_table: Path):
    samples = fleurs.read(as_table)
    assert [sample.id for sample in samples] == ["100", "200", "300"]
    assert samples[2] == Sample(
        id="300",
        dataset="fleurs",
        source="fleurs_zh",
        task="asr",
        audio=as_table / "data" / "cmn_hans_cn" / "audio" / "test" / "300.wav",
        prompt="Detect the language and recognize the speech: <|zh|>",
        reference="2 0 1 1 年",
        language="zh",
        duration_s=0.75,
        details=(("raw_transcription", '"2011年'),),
    )


def test_parquet_files_give_the_same_samples(as_table: Path, as_parquet: Path):
    language = as_parquet / "parquet-data" / "cmn_hans_cn"
    samples = fleurs.read(as_parquet)
    assert [sample.audio for sample in samples] == [language / "audio" / "test" / name for _, name, *_ in ROWS]

    def without_place(sample: Sample) -> tuple:
        return (sample.audio.name, sample.id, sample.reference, sample.details, sample.duration_s, sample.source)

    assert list(map(without_place, samples)) == list(map(without_place, fleurs.read(as_table)))
    assert [load(sample.audio).duration_s for sample in samples] == [0.5, 1.0, 0.75]


def test_what_is_written_out_is_written_once_and_mended(as_parquet: Path):
    first, second, _ = [sample.audio for sample in fleurs.read(as_parquet)]
    whole, before = first.read_bytes(), second.stat().st_mtime_ns
    first.write_bytes(whole[:100])
    fleurs.read(as_parquet)
    assert first.read_bytes() == whole
    assert second.stat().st_mtime_ns == before
    assert {path.suffix for path in first.parent.iterdir()} == {".wav"}


def test_converted_parquet_folders_are_read_too(tmp_path: Path, wav: Callable[[int], bytes]):
    shard = tmp_path / "cmn_hans_cn" / "test" / "0000.parquet"
    shard.parent.mkdir(parents=True)
    write_shard(shard, ROWS, wav)
    assert [sample.id for sample in fleurs.read(tmp_path)] == ["100", "200", "300"]


@pytest.mark.parametrize("place", ["data", "data/cmn_hans_cn", "data/cmn_hans_cn/audio/.."])
def test_any_folder_of_the_layout_may_be_given(as_table: Path, place: str):
    assert [sample.source for sample in fleurs.read(as_table / place)] == ["fleurs_zh"] * 3


@pytest.mark.parametrize(("name", "code"), [("fr_fr", "fr"), ("yue_hant_hk", "yue")])
def test_other_languages_are_read_as_sources_of_their_own(as_table: Path, name: str, code: str):
    language = as_table / "data" / "cmn_hans_cn"
    language.rename(language.with_name(name))
    assert {(sample.source, sample.language) for sample in fleurs.read(as_table)} == {(f"fleurs_{code}", code)}


def test_every_language_has_its_own_parquet_files(as_parquet: Path, wav: Callable[[int], bytes]):
    language = as_parquet / "parquet-data" / "fr_fr"
    language.mkdir()
    audio = [{"bytes": wav(8000), "path": None}]  # then the column `path` names it
    write_shard(language / "test-00000-of-00001.parquet", ROWS[:1], wav, audio=audio)
    named = [(sample.source, sample.id) for sample in fleurs.read(as_parquet)]
    assert named == [*(("fleurs_zh", name.removesuffix(".wav")) for _, name, *_ in ROWS), ("fleurs_fr", "100")]


def test_tables_and_their_recordings_come_first(as_table: Path, wav: Callable[[int], bytes]):
    language = as_table / "data" / "cmn_hans_cn"
    before = fleurs.read(as_table)
    write_shard(language / "test-00000-of-00001.parquet", ROWS, wav)
    (language / "test").mkdir()
    (language / "test" / "100.wav").touch()
    with (language / "test.tsv").open("a") as table:
        table.write("\n")
    assert fleurs.read(as_table) == before


def test_an_archive_may_be_unpacked_beside_the_table(as_table: Path):
    language = as_table / "data" / "cmn_hans_cn"
    (language / "audio" / "test").rename(language / "test")
    assert len(fleurs.read(as_table)) == 3


def test_half_a_table_is_refused(as_table: Path, caplog: pytest.LogCaptureFixture):
    language = as_table / "data" / "cmn_hans_cn"
    (language / "audio" / "test" / "400.wav").touch()
    assert len(fleurs.read(as_table)) == 3
    assert "left out 1 recordings without a transcript, such as 400" in caplog.text
    (language / "audio" / "test" / "200.wav").unlink()
    with pytest.raises(UserError, match=r"cmn_hans_cn: 1 of 3 transcripts have no recording, such as 200; unpack"):
        fleurs.read(as_table)
    (language / "audio" / "test.tar.gz").touch()
    (language / "audio" / "test").rename(language / "elsewhere")
    with pytest.raises(UserError, match=r"audio/test.tar.gz is still packed; unpack it where it is, with tar xzf"):
        fleurs.read(as_table)


@pytest.mark.parametrize("line", ["1\t100.wav\traw\ttext", "1\t100.wav\traw\ttext\tt\tmany\tMALE"])
def test_a_damaged_table_is_refused(as_table: Path, line: str):
    with (as_table / "data" / "cmn_hans_cn" / "test.tsv").open("a") as table:
        table.write(f"{line}\n")
    with pytest.raises(UserError, match=r"test.tsv:4 is no line of FLEURS; expected id, file name, raw transcription"):
        fleurs.read(as_table)


def test_damaged_parquet_is_refused(as_parquet: Path, wav: Callable[[int], bytes]):
    shard = as_parquet / "parquet-data" / "cmn_hans_cn" / "test-00000-of-00002.parquet"
    write_shard(shard, ROWS[:2], wav, transcription=None)
    with pytest.raises(
        UserError, match=r"of-00002.parquet has no column transcription; expected FLEURS as google/fleurs"
    ):
        fleurs.read(as_parquet)
    write_shard(shard, ROWS[:1], wav, audio=[{"bytes": None, "path": "100.wav"}])
    with pytest.raises(UserError, match=r"holds a row without the bytes of its recording; download it again"):
        fleurs.read(as_parquet)
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cannot read .*test-00000-of-00002.parquet: .*; download it again"):
        fleurs.read(as_parquet)


def test_a_name_in_parquet_cannot_leave_its_folder(as_parquet: Path, wav: Callable[[int], bytes]):
    shard = as_parquet / "parquet-data" / "cmn_hans_cn" / "test-00000-of-00002.parquet"
    write_shard(shard, ROWS[:1], wav, audio=[{"bytes": wav(8000), "path": "../../../escaped.wav"}])
    assert fleurs.read(as_parquet)[0].audio == shard.parent / "audio" / "test" / "escaped.wav"


def test_parquet_needs_its_library(as_parquet: Path, monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        UserError, match=r"reading parquet needs pyarrow; install it with pip install 'auricle\[eval\]'"
    ):
        fleurs.read(as_parquet)


def test_recordings_that_cannot_be_written_out_are_said(as_parquet: Path, monkeypatch: pytest.MonkeyPatch):
    (as_parquet / "parquet-data" / "cmn_hans_cn" / "audio").touch()
    with pytest.raises(UserError, match=r"cannot write .*100.wav: .*; make room or allow writing there"):
        fleurs.read(as_parquet)
    (as_parquet / "parquet-data" / "cmn_hans_cn" / "audio").unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"cannot write .*100.wav: No space left on device; make room"):
        fleurs.read(as_parquet)
    assert not list(as_parquet.rglob("*.part"))


def test_a_folder_without_the_layout_is_refused(tmp_path: Path):
    with pytest.raises(
        UserError, match=r"no FLEURS under .*; expected LANGUAGE/test.tsv and LANGUAGE/audio/test/\*.wav"
    ):
        fleurs.read(tmp_path)
