"""`auricle data download` and `auricle data prepare NAME --from DIR`: what is printed, what is written, exit codes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from local_server import Served, Server, serve

from auricle.errors import UserError
from auricle.evaluate.datasets import catalogue, debian_speech
from auricle.evaluate.datasets.catalogue import dataset_named
from auricle.evaluate.download import RemoteFile
from auricle.evaluate.lists import read_samples
from auricle.evaluate.sample import Sample
from auricle.evaluate.tasks import find_samples

Run = Callable[..., tuple[int, str, str]]
NAMES = ("f0001_0_cough.wav", "f0001_0_sigh.wav")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AURICLE_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def vocalsound(tmp_path: Path) -> Path:
    """Two recordings of the test list."""
    folder = tmp_path / "published" / "vs"
    (folder / "audio_16k").mkdir(parents=True)
    (folder / "datafiles").mkdir()
    (folder / "datafiles" / "te.json").write_text(json.dumps({"data": [{"wav": f"/x/{name}"} for name in NAMES]}))
    for name in NAMES:
        (folder / "audio_16k" / name).write_bytes(b"wav")
    return folder


def offered(
    monkeypatch: pytest.MonkeyPatch, server: Server, name: str, files: dict[str, bytes], **changed: object
) -> None:
    """The catalogue's entry with files of our own server."""
    remote = tuple(RemoteFile(path, (server.url(path),)) for path in files)
    server.files |= {path: Served(body) for path, body in files.items()}
    entries = [
        replace(dataset, files=remote, **changed) if dataset.name == name else dataset  # type: ignore[arg-type]
        for dataset in catalogue.DATASETS
    ]
    monkeypatch.setattr(catalogue, "DATASETS", tuple(entries))


def test_a_list_of_what_a_publisher_ships(run_cli: Run, vocalsound: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(vocalsound.parent)
    code, out, err = run_cli("data", "prepare", "vocalsound", "--from", "vs")
    assert (code, err) == (0, "")
    path = home / "vocalsound" / "eval.jsonl"
    assert out.splitlines() == [
        "vocalsound: pools vocalsound_valid and vocalsound_test when published; here without vocalsound_valid; "
        "2 samples, the published row has 5,446",
        f"wrote 2 samples to {path}",
        "next: auricle eval run vocalsound --model MODEL --out DIR",
    ]
    samples = read_samples(path)
    assert [sample.audio for sample in samples] == [vocalsound / "audio_16k" / name for name in NAMES]
    assert samples == [
        replace(one, audio=vocalsound / one.audio) for one in dataset_named("vocalsound").read(vocalsound)
    ]


def test_a_list_elsewhere(run_cli: Run, vocalsound: Path, home: Path, tmp_path: Path):
    path = tmp_path / "new" / "list.jsonl"
    code, out, _ = run_cli("data", "prepare", "vocalsound", "--from", vocalsound, "--out", path)
    assert code == 0
    assert out.splitlines()[-1] == f"next: auricle eval run --list {path} --model MODEL --out DIR"
    assert len(read_samples(path)) == 2
    assert not home.exists()


def test_every_row_counts_its_own_samples(run_cli: Run, tmp_path: Path):
    for split, count in (("dev-clean", 2), ("test-other", 1)):
        chapter = tmp_path / "LibriSpeech" / split / "1" / "2"
        chapter.mkdir(parents=True)
        (chapter / "1-2.trans.txt").write_text("".join(f"1-2-{number} YES\n" for number in range(count)))
        for number in range(count):
            (chapter / f"1-2-{number}.flac").touch()
    code, out, _ = run_cli("data", "prepare", "librispeech", "--from", tmp_path)
    assert code == 0
    assert [line.partition(",")[0] for line in out.splitlines()[:2]] == [
        "librispeech_dev_clean: 2 samples", "librispeech_test_other: 1 samples"
    ]  # fmt: skip


def test_a_row_that_is_whole_says_so(run_cli: Run, vocalsound: Path, monkeypatch: pytest.MonkeyPatch):
    from auricle.evaluate import rows

    row = next(row for row in rows.ROWS if row.name == "vocalsound")
    monkeypatch.setattr(rows, "ROWS", (replace(row, sources=("vocalsound_test",), count=2),))
    _, out, _ = run_cli("data", "prepare", "vocalsound", "--from", vocalsound)
    assert out.splitlines()[0] == "vocalsound: 2 samples, as published"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["vocalsund", "--from", "."], "unknown data set 'vocalsund'; did you mean vocalsound?"),
        (["meld", "fleurs", "--from", "."], "--from is for one data set: got meld, fleurs; prepare one after another"),
        (["meld", "--from", "gone"], "there is no folder gone; give the one that holds meld as it was published"),
        (["meld", "--from", ".", "--task", "asr"], "--from takes no --task, --set or --json; leave them out, they are"),
        (["meld", "--from", ".", "--json"], "--from takes no --task, --set or --json; leave them out, they are for"),
        (["meld", "--from", "."], "no MELD under .; expected"),
        (["train.jsonl"], "data prepare needs --out FILE, the manifest to write; or --from DIR, to list a data set"),
    ],
)
def test_mistakes(run_cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_cli("data", "prepare", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"auricle: {sentence}")


def test_a_download_is_read_and_listed(run_cli: Run, vocalsound: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    files = {str(path.relative_to(vocalsound)): path.read_bytes() for path in vocalsound.rglob("*.*")}
    with serve() as server:
        offered(monkeypatch, server, "vocalsound", files)
        code, out, err = run_cli("data", "download", "vocalsound")
        assert (code, err) == (0, "")
        again = run_cli("data", "download", "vocalsound")
        assert again == (0, out, "")
        assert len(server.asked) == len(files)
    lines = out.splitlines()
    assert lines[0].endswith("(CC BY-SA 4.0); https://github.com/YuanGongND/vocalsound")
    assert "audio_16k/f0001_0_cough.wav: checksum not published, 3 bytes came" in lines
    assert lines[-2:] == [
        f"wrote 2 samples to {home / 'vocalsound' / 'eval.jsonl'}",
        "next: auricle eval run vocalsound --model MODEL --out DIR",
    ]


def test_a_download_to_another_folder(run_cli: Run, vocalsound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = {str(path.relative_to(vocalsound)): path.read_bytes() for path in vocalsound.rglob("*.*")}
    with serve() as server:
        offered(monkeypatch, server, "vocalsound", files)
        monkeypatch.chdir(tmp_path)
        code, out, _ = run_cli("data", "download", "vocalsound", "--to", "here")
    assert code == 0
    assert out.splitlines()[-1] == "next: auricle eval run --list here/eval.jsonl --model MODEL --out DIR"
    assert read_samples(tmp_path / "here" / "eval.jsonl")[0].audio == tmp_path / "here" / "audio_16k" / NAMES[0]


def test_a_download_that_is_only_a_part(run_cli: Run, home: Path, monkeypatch: pytest.MonkeyPatch):
    """CoVoST 2 is tables; the clips are to be asked for, and the second call finds them."""
    table = b"path\ttranslation\tsplit\na.mp3\tEins.\tdev\nb.mp3\tZwei.\ttest\n"
    folder = home / "covost2"
    with serve() as server:
        offered(monkeypatch, server, "covost2", {"covost_v2.en_de.tsv": table})
        code, out, _ = run_cli("data", "download", "covost2")
        assert code == 0
        assert out.splitlines()[2].startswith(f"not complete: no clips of Common Voice 4 under {folder}")
        assert out.splitlines()[3].startswith("next: get Common Voice 4 (2019-12-10) of en, de, ")
        assert out.splitlines()[3].endswith(f"; then auricle data prepare covost2 --from {folder}")
        (folder / "en" / "clips").mkdir(parents=True)
        for name in ("a", "b"):
            (folder / "en" / "clips" / f"{name}.mp3").touch()
        (folder / "en" / "validated.tsv").write_text("client_id\tpath\nx\ta.mp3\nx\tb.mp3\n")
        _, out, _ = run_cli("data", "download", "covost2")
    assert out.splitlines()[2] == "covost2_en_de: 2 samples, the published row has 30,883"


def test_a_whole_download_that_cannot_be_read_is_an_error(run_cli: Run, monkeypatch: pytest.MonkeyPatch):
    with serve() as server:
        offered(monkeypatch, server, "vocalsound", {"readme.txt": b"nothing else"})
        code, _, err = run_cli("data", "download", "vocalsound")
    assert code == 2
    assert err.startswith("auricle: no VocalSound under ")


def test_what_cannot_be_downloaded(run_cli: Run):
    code, out, err = run_cli("data", "download", "aishell2")
    assert code == 2
    assert err.startswith("auricle: aishell2 cannot be downloaded: ask for the development and test set")
    code, out, err = run_cli("data", "download", "aishell")
    assert (code, out, err) == (2, "", "auricle: unknown data set 'aishell'; did you mean aishell2?\n")


def test_the_official_lists(run_cli: Run, home: Path, monkeypatch: pytest.MonkeyPatch):
    line = b'{"audio": "a.flac", "source": "librispeech_test_clean", "prompt": "p", "gt": "YES"}\n'
    with serve() as server:
        names = [file.name for file in catalogue.OFFICIAL_LIST_FILES]
        server.files |= {name: Served(line) for name in names}
        ours = tuple(RemoteFile(name, (server.url(name),)) for name in names)
        monkeypatch.setattr(catalogue, "OFFICIAL_LIST_FILES", ours)
        code, out, _ = run_cli("data", "download", "official-lists")
    assert code == 0
    paths = [home / "official-lists" / name for name in names]
    assert out.splitlines()[:-2] == [str(path) for path in paths]
    assert "checksums of the lists are not published" in out
    assert [len(read_samples(path)) for path in paths[:1]] == [1]


def test_a_download_shows_its_bytes_on_a_terminal_only(run_cli: Run, home: Path, monkeypatch: pytest.MonkeyPatch):
    from rich.console import Console

    monkeypatch.setattr(Console, "is_terminal", property(lambda console: True))
    with serve() as server:
        offered(monkeypatch, server, "covost2", {"covost_v2.en_de.tsv": b"x" * 10**6})
        _, _, err = run_cli("data", "download", "covost2")
    assert "1.0/1.0 MB" in err


@pytest.mark.parametrize("command", [("download",), ("prepare", "--from", ".")])
def test_the_offline_benchmark_says_what_it_is_made_of(
    command: tuple[str, ...], run_cli: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    known = (("speaker_in_training", "known"),)
    one = Sample("a", "debian-speech", "asterisk_en", "asr", Path("a.flac"), "?", "Two words.", "en", duration_s=90.0)
    found = [replace(one, speaker="Allison Smith", details=known), replace(one, id="b", speaker="Allison Smith")]

    def refuse(folder: Path, watch: object) -> None:
        raise UserError("nothing to fetch")

    made = {"read": lambda folder: found, "download": lambda folder, watch: None}
    entries = [replace(one, **made) if one.name == "debian-speech" else one for one in catalogue.DATASETS]
    monkeypatch.setattr(catalogue, "DATASETS", tuple(entries))
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_cli("data", command[0], "debian-speech", *command[1:])
    assert code == 0
    assert out.splitlines()[-5:] == [
        "| source | task | clips | minutes | words | speakers | speaker in training |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| asterisk_en | asr | 2 | 3.0 | 4 | 1 | known |",
        f"wrote 2 samples to {home / 'debian-speech' / 'eval.jsonl'}",
        "next: auricle eval run debian-speech --model MODEL --out DIR",
    ]
    monkeypatch.setattr(debian_speech, "download", refuse)
    assert [one.id for one in find_samples(["debian-speech"])] == ["a", "b"]  # the list is known to be of this version
