"""FLEURS as Google ships it on Hugging Face, in either layout: Wikipedia sentences, read.

    data/cmn_hans_cn/test.tsv                       no header: id, file name, raw transcription, transcription,
    data/cmn_hans_cn/audio/test/1234.wav            characters, number of samples at 16 kHz, gender
    parquet-data/cmn_hans_cn/test-00000-of-00001.parquet    the same as columns, the file's bytes under audio.bytes

`audio/test` comes as `audio/test.tar.gz`. The reference is the transcription without punctuation; the raw one stands in
the sample's details. Whose voice it is, is not published: speakers are unknown.
Conneau et al., SLT 2022; https://huggingface.co/datasets/google/fleurs (CC BY 4.0).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from auricle import units
from auricle.errors import UserError
from auricle.evaluate.datasets.transcripts import nearest, paired, read_tsv, unique
from auricle.evaluate.prompts import recognise
from auricle.evaluate.sample import Sample
from auricle.evaluate.whole_file import write_whole

_CODES = {"cmn": "zh"}  # what FLEURS calls a language, where the prompts call it otherwise
_FIELDS = 7
_ROWS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class _Line:
    file_name: str
    raw: str
    text: str
    num_samples: int


def read(folder: Path) -> list[Sample]:
    """The test sets of whichever languages are there; those of parquet files are written out beside them, as `audio`.

    Args:
        folder: a language (`cmn_hans_cn`), `data` or `parquet-data`, or a folder that holds it.

    Raises:
        UserError: there is no test set, its archive is not unpacked, or it is not whole.
    """
    tables = nearest(folder, "test.tsv")
    shards = [] if tables else [*nearest(folder, "test-*.parquet"), *nearest(folder, "test/*.parquet")]
    if not tables and not shards:
        raise UserError(
            f"no FLEURS under {folder}; expected LANGUAGE/test.tsv and LANGUAGE/audio/test/*.wav, or "
            "LANGUAGE/test-*.parquet, LANGUAGE such as cmn_hans_cn"
        )
    samples = [sample for table in tables for sample in _samples(table.parent, _rows(table), _recordings(table.parent))]
    for language in dict.fromkeys(map(_language_folder, shards)):
        lines = [line for shard in shards if _language_folder(shard) == language for line in _unpack(shard, language)]
        samples += _samples(language, lines, _recordings(language))
    return samples


def _language_folder(shard: Path) -> Path:
    return shard.parent.parent if shard.parent.name == "test" else shard.parent


def _samples(folder: Path, lines: list[_Line], recordings: dict[str, Path]) -> list[Sample]:
    code = folder.resolve().name.partition("_")[0]
    language = _CODES.get(code, code)
    by_stem = unique(folder, ((PurePath(line.file_name).stem, line) for line in lines))
    return [
        Sample(
            id=stem,
            dataset="fleurs",
            source=f"fleurs_{language}",
            task="asr",
            audio=recording,
            prompt=recognise(language),
            reference=text,
            language=language,
            duration_s=by_stem[stem].num_samples / units.SAMPLE_RATE,
            details=(("raw_transcription", by_stem[stem].raw),),
        )
        for stem, text, recording in paired(folder, {stem: line.text for stem, line in by_stem.items()}, recordings)
    ]


def _recordings(folder: Path) -> dict[str, Path]:
    places = [place for place in (folder / "audio" / "test", folder / "test") if place.is_dir()]
    packed = folder / "audio" / "test.tar.gz"
    if not places and packed.is_file():
        raise UserError(f"{packed} is still packed; unpack it where it is, with tar xzf")
    return {path.stem: path for place in places[:1] for path in sorted(place.glob("*.wav"))}


def _rows(table: Path) -> list[_Line]:
    lines = []
    for where, row in read_tsv(table):
        if len(row) != _FIELDS or not row[5].isdecimal():
            raise UserError(
                f"{where} is no line of FLEURS; expected id, file name, raw transcription, transcription, characters, "
                "number of samples and gender between tabs"
            )
        lines.append(_Line(row[1], row[2], row[3].strip(), int(row[5])))
    return lines


def _unpack(shard: Path, folder: Path) -> Iterator[_Line]:
    """The lines of a parquet file, its recordings written where the other layout has them."""
    place = folder / "audio" / "test"
    for row in _parquet_rows(shard):
        audio = row["audio"] or {}
        name, content = PurePath(audio.get("path") or row["path"] or "").name, audio.get("bytes")
        if not name or not content:
            raise UserError(f"{shard} holds a row without the bytes of its recording; download it again")
        _write(place / name, content)
        yield _Line(name, row["raw_transcription"], row["transcription"].strip(), row["num_samples"])


def _parquet_rows(shard: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError("reading parquet needs pyarrow; install it with pip install 'auricle[eval]'") from error
    columns = ["path", "audio", "raw_transcription", "transcription", "num_samples"]
    try:
        with parquet.ParquetFile(shard) as file:
            absent = [name for name in columns if name not in file.schema_arrow.names]
            if absent:
                raise UserError(f"{shard} has no column {', '.join(absent)}; expected FLEURS as google/fleurs has it")
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
                yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot read {shard}: {reason}; download it again") from error


def _write(path: Path, content: bytes) -> None:
    """Where it is not there yet."""
    if path.is_file() and path.stat().st_size == len(content):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make room or allow writing there") from error
