"""The catalogue: what it says of every data set, and that its files are fetched and unpacked where a reader looks."""

import io
import re
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from local_server import Served, serve

from auricle.errors import UserError
from auricle.evaluate.datasets import catalogue, covost2
from auricle.evaluate.datasets.catalogue import DATASETS, OFFICIAL_LIST_FILES, dataset_named, download
from auricle.evaluate.datasets.meld import ARCHIVE
from auricle.evaluate.download import RemoteFile
from auricle.evaluate.official_names import dataset_of
from auricle.evaluate.published import ROWS
from auricle.evaluate.tasks import DATASETS as TASKS

FILES = [*OFFICIAL_LIST_FILES, ARCHIVE, *(file for dataset in DATASETS for file in dataset.files)]


def test_every_data_set_of_the_table_is_there_and_no_other():
    names = [dataset.name for dataset in DATASETS]
    assert len(names) == len(set(names))
    assert set(names) == set(TASKS)
    assert set(names) == {row.dataset for row in ROWS} | {"debian-speech"}


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_each_says_where_it_is_and_how_to_get_it(dataset: catalogue.Dataset):
    assert dataset.title
    assert dataset.licence
    assert dataset.home_page.startswith("https://")
    assert dataset.is_offered or "https://" in dataset.how_to_get
    assert dataset.is_whole == (dataset.name not in ("common_voice_15", "aishell2", "covost2"))


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_each_is_read_and_downloaded_by_its_own_module(dataset: catalogue.Dataset):
    own = dataset.name.removesuffix("_15").replace("-", "_")
    for step in (dataset.read, dataset.download or dataset.read):
        assert step.__module__.rpartition(".")[2] == own


@pytest.mark.parametrize("name", ["librispeech", "fleurs", "covost2"])
def test_what_has_published_checksums_is_held_to_them(name: str):
    assert all(file.has_checksum and file.num_bytes for file in dataset_named(name).files)


def test_a_download_of_its_own_is_called(tmp_path: Path):
    called: list[Path] = []
    dataset = replace(dataset_named("meld"), download=lambda folder, watch: called.append(folder))
    download(dataset, tmp_path, lambda done, total: None)
    assert called == [tmp_path]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_addresses_names_and_checksums_are_well_formed(file: RemoteFile):
    for url in file.urls:
        parts = urlsplit(url)
        assert parts.scheme == "https"
        assert Path(parts.path).name == Path(file.name).name
        assert parts.hostname
    assert file.num_bytes is None or file.num_bytes > 10**5
    assert file.md5 is None or re.fullmatch("[0-9a-f]{32}", file.md5)
    assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_there_is_a_table_for_each_direction_of_covost2():
    names = [file.name for file in dataset_named("covost2").files]
    assert names == [f"{covost2.table_name(*direction)}.tsv.tar.gz" for direction in covost2.DIRECTIONS]


def test_official_lists_are_those_of_the_published_rows():
    names = [file.name for file in OFFICIAL_LIST_FILES]
    assert {dataset_of(Path(name).stem) for name in names} == {row.dataset for row in ROWS}
    languages = [
        source.rpartition("_")[2] for row in ROWS if row.dataset == "common_voice_15" for source in row.sources
    ]
    assert {name for name in names if "cv15" in name} == {f"cv15_asr_{language}_eval.jsonl" for language in languages}


def test_a_misspelt_name_is_told_the_nearest():
    assert dataset_named("meld").title.startswith("MELD")
    with pytest.raises(UserError, match=r"unknown data set 'librispech'; did you mean librispeech\?"):
        dataset_named("librispech")
    with pytest.raises(UserError, match="unknown data set 'imagenet'; expected one of librispeech, common_voice_15, "):
        dataset_named("imagenet")


@pytest.mark.parametrize("name", ["common_voice_15", "aishell2"])
def test_what_has_to_be_asked_for_says_where(name: str, tmp_path: Path):
    with pytest.raises(
        UserError, match=rf"{name} cannot be downloaded: .*https://.*; then run auricle data prepare {name}"
    ):
        download(dataset_named(name), tmp_path, lambda done, total: None)


def archive(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return data.getvalue()


CHAPTER = "LibriSpeech/{0}/1/2/1-2"
MINIATURES = {
    "librispeech": {
        f"{split}.tar.gz": archive(
            {f"{CHAPTER.format(split)}.trans.txt": b"1-2-0000 YES\n", f"{CHAPTER.format(split)}-0000.flac": b"flac"}
        )
        for split in ("dev-clean", "dev-other", "test-clean", "test-other")
    },
    "fleurs": {
        "test.tsv": "1\t9.wav\t你好。\t你好\t你 好\t16000\tMALE\n".encode(),
        "test.tar.gz": archive({"test/9.wav": b"wav"}),
    },
    "vocalsound": {
        "vs_release_16k.zip": zipped(
            {
                "datafiles/val.json": b'{"data": [{"wav": "/x/f1_0_cough.wav"}]}',
                "datafiles/te.json": b'{"data": [{"wav": "/x/f2_0_sigh.wav"}]}',
                "audio_16k/f1_0_cough.wav": b"wav",
                "audio_16k/f2_0_sigh.wav": b"wav",
            }
        ),
    },
}


@pytest.mark.parametrize("name", MINIATURES)
def test_what_is_downloaded_lies_where_the_reader_looks(name: str, tmp_path: Path):
    """The catalogue's own names and kinds of files, from a server of ours."""
    dataset = dataset_named(name)
    seen: list[int] = []
    with serve() as server:
        for path, body in MINIATURES[name].items():
            server.files[path] = Served(body)
        files = tuple(RemoteFile(file.name, (server.url(Path(file.name).name),)) for file in dataset.files)
        assert {Path(file.name).name for file in files} == MINIATURES[name].keys()
        for _ in range(2):
            download(replace(dataset, files=files), tmp_path, lambda done, total: seen.append(done))
        assert len(server.asked) == len(files)
    expected = {source for row in ROWS if row.dataset == name for source in row.sources}
    assert {sample.source for sample in dataset.read(tmp_path)} == expected
    assert seen
