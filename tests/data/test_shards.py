"""Tar shards: the same samples as webdataset reads, at any place, and whatever is broken is named."""

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from webdataset.tariterators import group_by_keys, tar_file_expander

from auricle.audio import load
from auricle.data.manifest import open_records
from auricle.data.records import Dialogue, Labelled
from auricle.data.shards import expand
from auricle.errors import UserError

Encode = Callable[..., bytes]
Sine = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def sounds(encode_audio: Encode, sine: Sine) -> list[bytes]:
    """Seven short recordings of different pitch and length."""
    lengths = [(0.1 + 0.05 * number, 200.0 + 100 * number) for number in range(7)]
    return [
        encode_audio(sine(duration_s, hz=hz)[None], container="flac", codec="flac", rate=16000)
        for duration_s, hz in lengths
    ]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, sounds: list[bytes]) -> str:
    """Three shards of three, three and one samples, written by webdataset."""
    pattern = str(tmp_path_factory.mktemp("shards") / "train-%04d.tar")
    with webdataset.ShardWriter(pattern, maxcount=3, verbose=0) as writer:
        for number, sound in enumerate(sounds):
            fields = {"text": f"Text {number}.", "language": "en", "duration_s": 0.1 + 0.05 * number}
            writer.write({"__key__": f"part/{number:04d}", "flac": sound, "json": fields})
    return pattern


def read_by_webdataset(path: str) -> list[dict[str, Any]]:
    """The stages of `webdataset.WebDataset`, which leaves its files open."""
    with open(path, "rb") as stream:
        return list(group_by_keys(tar_file_expander([{"url": path, "stream": stream}])))


def test_the_same_samples_as_webdataset(shards: str):
    pattern = shards.replace("%04d", "{0000..0002}")
    theirs = [sample for number in range(3) for sample in read_by_webdataset(shards % number)]
    records = open_records(Path(pattern))
    assert len(records) == len(theirs) == 7
    for record, sample in zip(records, theirs, strict=True):
        fields = json.loads(sample["json"])
        assert isinstance(record, Labelled)
        assert (record.id, record.target) == (sample["__key__"], fields["text"])
        assert record.where == f"{sample['__url__']}:{sample['__key__']}"
        [recording] = record.recordings
        assert recording.duration_s == fields["duration_s"]
        assert np.array_equal(recording.load().samples, load(sample["flac"]).samples)


def test_any_place_without_the_others(shards: str, sounds: list[bytes]):
    records = open_records(Path(shards.replace("%04d", "*")))
    for index in (6, 0, 4, -2):
        assert np.array_equal(records[index].recordings[0].load().samples, load(sounds[index]).samples)
    again = pickle.loads(pickle.dumps(records))
    assert again[5] == records[5]


def test_patterns(shards: str, tmp_path: Path):
    names = [Path(shards % number) for number in range(3)]
    assert expand(Path(shards % 1)) == [names[1]]
    assert expand(Path(shards.replace("%04d", "{0000..0001}"))) == names[:2]
    assert expand(Path(shards.replace("%04d", "000{1..2}"))) == names[1:]
    assert expand(Path(shards.replace("%04d", "00{0..0}{0..2}"))) == names
    assert expand(Path(shards.replace("%04d", "000[02]"))) == [names[0], names[2]]
    assert [path.name for path in expand(tmp_path / "x-{8..11}.tar")] == ["x-8.tar", "x-9.tar", "x-10.tar", "x-11.tar"]
    (tmp_path / "odd-{0..1}.tar").touch()
    assert expand(tmp_path / "odd-{0..1}.tar") == [tmp_path / "odd-{0..1}.tar"]
    assert expand(tmp_path / "set.jsonl") == []
    assert expand(tmp_path) == []


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_transcripts_dialogues_and_several_recordings(tmp_path: Path, sounds: list[bytes]):
    talk = {"messages": [{"role": "user", "content": "<audio><audio>Same?"}, {"role": "assistant", "content": "No."}]}
    named = talk | {"audios": ["any/where/z.B.flac", "a.flac"]}
    path = write_tar(
        tmp_path / "mixed.tar",
        [
            ("__info__/meta.json", b"{}"),
            ("x.FLAC", sounds[0]),
            ("x.txt", "Größe.\n".encode()),
            ("y.a.flac", sounds[1]),
            ("y.b.flac", sounds[2]),
            ("y.json", json.dumps(talk).encode()),
            ("z.json", json.dumps(named).encode()),
            ("z.a.flac", sounds[3]),
            ("z.b.flac", sounds[4]),
            ("README", b"no sample"),
            ("w.json", b'{"speaker": "eva"}'),
            ("w.txt", b"Hello."),
            ("w.wav", sounds[5]),
        ],
    )
    x, y, z, w = open_records(path, task="asr")
    assert isinstance(x, Labelled)
    assert (x.target, x.source) == ("Größe.", tmp_path.name)
    assert isinstance(y, Dialogue)
    assert [recording.load().duration_s for recording in y.recordings] == [
        load(sound).duration_s for sound in sounds[1:3]
    ]
    assert [recording.load().duration_s for recording in z.recordings] == [
        load(sounds[4]).duration_s,
        load(sounds[3]).duration_s,
    ]
    assert isinstance(w, Labelled)
    assert (w.target, w.speaker, w.id) == ("Hello.", "eva", "w")


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ([("x.flac", b"a"), ("x.json", b"{oops")], "mixed.tar:x: .*is not JSON"),
        ([("x.flac", b"a"), ("x.json", b"[1]")], r"mixed.tar:x: \[1\] is not an object"),
        ([("x.flac", b"a"), ("x.txt", b"\xff")], "mixed.tar:x: byte 0 is not UTF-8"),
        ([("x.flac", b"a")], "mixed.tar:x: the line has `id`; expected `audio` and `text`"),
        ([("x.json", b'{"text": "t"}')], "mixed.tar:x: the line has `text`, `id`; expected"),
        ([("x.flac", b"a"), ("x.flac", b"b")], "mixed.tar:x: two members have the same name; expected one"),
        (
            [("x.flac", b"a"), ("x.json", b'{"audio": "y.wav", "text": "t"}')],
            "mixed.tar:x: the sample holds no recording 'y.wav'; expected one of flac",
        ),
    ],
)
def test_a_bad_sample_is_named(tmp_path: Path, members: list[tuple[str, bytes]], sentence: str):
    records = open_records(write_tar(tmp_path / "mixed.tar", [("a.flac", b"a"), ("a.txt", b"ok"), *members]))
    assert records[0].id == "a"
    with pytest.raises(UserError, match=sentence):
        records[1]


def test_a_part_of_a_turn_may_name_a_member(tmp_path: Path):
    talk = [{"role": "user", "content": [{"type": "audio", "audio": "b.wav"}]}, {"role": "assistant", "content": "x"}]
    content = json.dumps({"messages": talk}).encode()
    path = write_tar(tmp_path / "one.tar", [("x.a.wav", b"a"), ("x.b.wav", b"bb"), ("x.json", content)])
    [recording] = open_records(path)[0].recordings
    assert recording.num_bytes == 2


def test_shards_that_cannot_be_indexed(tmp_path: Path):
    cases: list[tuple[str, bytes | None, str]] = [
        ("no.tar", b"this is no archive " * 100, "the shard .*no.tar breaks off or is no tar"),
        ("empty.tar", b"", "the shard .*empty.tar breaks off or is no tar"),
        ("missing.tar", None, "cannot read the shard .*missing.tar: No such file or directory; check the path"),
        ("zipped.tar.gz", b"", "zipped.tar.gz is compressed as a whole, so nothing in it can be found"),
        ("none-*.tar", None, r"no shard fits the pattern .*none-\*.tar; expected one file at least"),
        ("bare.tar", bytes(10240), "no sample in .*bare.tar; expected members such as 0001.flac and 0001.json"),
    ]
    for name, content, sentence in cases:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=sentence):
            open_records(tmp_path / name)


@given(st.data())
def test_a_shard_that_breaks_off_anywhere_is_refused(data: st.DataObject):
    """At every byte before the end mark; webdataset and tarfile take some of them for whole."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, size in (("a.flac", 700), ("a.txt", 3), ("b.flac", 512), ("b.txt", 5)):
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(bytes([65]) * size))
        end = tar.offset
    cut = data.draw(st.one_of(st.integers(0, end), st.sampled_from(range(0, end + 1, 512))))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cut.tar"
        path.write_bytes(file.getvalue()[:cut])
        with pytest.raises(
            UserError, match=r"the shard .*cut.tar breaks off (at byte \d+; expected a whole|or is no tar)"
        ):
            open_records(path)
        path.write_bytes(file.getvalue())
        assert len(open_records(path)) == 2


def test_an_index_of_many_samples_is_small(tmp_path: Path):
    count = 5000
    path = write_tar(
        tmp_path / "many.tar", [(f"{i:06d}.{end}", b"{}") for i in range(count) for end in ("flac", "txt")]
    )
    records: Any = open_records(path)
    assert len(records) == count
    assert len(pickle.dumps(records)) < 90 * count  # two members of 32 bytes, a key, a first row
