"""Which samples a task means, and which of them a limit leaves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.errors import UserError
from auricle.evaluate.datasets import debian_speech
from auricle.evaluate.lists import write_samples
from auricle.evaluate.sample import Sample
from auricle.evaluate.tasks import count_remarks, find_samples, limited, write_list


def sample(id_: str, source: str, dataset: str = "librispeech", audio: Path = Path("/audio/x.flac")) -> Sample:
    return Sample(id_, dataset, source, "asr", audio, "What?", "this")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two data sets as `auricle data` leaves them."""
    parts = ("librispeech_dev_clean", "librispeech_dev_other", "librispeech_test_clean")
    folder = tmp_path / "data" / "librispeech"
    folder.mkdir(parents=True)
    write_samples([sample(f"{part}-{n}", part) for part in parts for n in range(4)], folder / "eval.jsonl")
    folder = tmp_path / "data" / "meld"
    folder.mkdir()
    write_samples([sample("a", "meld_dev", "meld"), sample("b", "meld_test", "meld")], folder / "eval.jsonl")
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("tasks", "sources"),
    [
        (["librispeech"], ["librispeech_dev_clean", "librispeech_dev_other", "librispeech_test_clean"]),
        (["librispeech_dev_other"], ["librispeech_dev_other"]),
        (["meld"], ["meld_dev", "meld_test"]),
        (["meld_test"], ["meld_test"]),
        (["librispeech/*_clean"], ["librispeech_dev_clean", "librispeech_test_clean"]),
        (["meld_dev", "librispeech/*test*", "meld"], ["meld_dev", "librispeech_test_clean", "meld_test"]),
    ],
)
def test_a_task_is_a_data_set_a_row_or_a_glob(tasks: list[str], sources: list[str], home: Path):
    found = find_samples(tasks, data=home)
    assert list(dict.fromkeys(one.source for one in found)) == sources
    assert len({(one.source, one.id) for one in found}) == len(found)


def test_a_row_that_pools_sources_means_all_of_them(home: Path):
    (home / "airbench").mkdir()
    parts = ("speech_QA", "speech_dialogue_QA", "music_QA")
    write_samples([sample("a", part, "airbench") for part in parts], home / "airbench" / "eval.jsonl")
    assert [one.source for one in find_samples(["airbench_speech"], data=home)] == ["speech_QA", "speech_dialogue_QA"]


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        (["librispech"], "unknown task 'librispech'; did you mean librispeech?"),
        (["zzz"], "unknown task 'zzz'; expected one of debian-speech, librispeech, "),
        (["librispeech/dev"], "librispeech/dev is no part of what is there: got librispeech_dev_clean, "),
        (
            ["fleurs_zh"],
            r"no fleurs in .*; get it with `auricle data download fleurs`, make it .* --from DIR`, or give",
        ),
        ([], "nothing to evaluate; name a data set"),
    ],
)
def test_what_is_not_there_is_told_with_what_to_do(tasks: list[str], told: str, home: Path):
    with pytest.raises(UserError, match=told):
        find_samples(tasks, data=home)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """An official list, with a recording of each of its two parts under another root."""
    lines = []
    for part in ("dev_clean", "test_clean"):
        path = tmp_path / "root" / part / "1-2-3.flac"
        path.parent.mkdir(parents=True)
        path.touch()
        line = {"audio": f"/their/disk/{part}/1-2-3.flac", "source": f"librispeech_{part}", "prompt": "?", "gt": "this"}
        lines.append(json.dumps(line))
    path = tmp_path / "librispeech_eval.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_an_official_list_is_a_task_or_stands_for_one(official: Path, tmp_path: Path):
    root = tmp_path / "root"
    both = find_samples([str(official)], audio_root=root)
    assert [one.audio for one in both] == [root / "dev_clean" / "1-2-3.flac", root / "test_clean" / "1-2-3.flac"]
    assert find_samples([], list_file=official, audio_root=root) == both
    assert find_samples(["librispeech"], list_file=official, audio_root=root) == both
    for task in ("librispeech_test_clean", "librispeech/*test*"):
        assert find_samples([task], list_file=official, audio_root=root) == both[1:]
    with pytest.raises(UserError, match="--audio-root is for a list, but librispeech is a data set"):
        find_samples(["librispeech"], audio_root=root)


def test_a_list_of_another_name_is_read_as_the_task_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    line = {"audio": "clips/1-2-3.flac", "source": "test-clean", "prompt": "Write it down:", "gt": "this"}
    (tmp_path / "list.jsonl").write_text(json.dumps(line))
    monkeypatch.chdir(tmp_path)
    [one] = find_samples(["librispeech"], list_file=Path("list.jsonl"))
    assert (one.source, one.task) == ("librispeech_test_clean", "asr")
    assert one.audio == tmp_path / "clips" / "1-2-3.flac"  # a run folder may be read from anywhere


def test_a_folder_of_ones_own_beside_the_data_sets_is_a_task(home: Path):
    (home / "calls").mkdir()
    write_samples([sample("a", "calls_de", "calls"), sample("b", "calls_fr", "calls")], home / "calls" / "eval.jsonl")
    assert [one.id for one in find_samples(["calls"], data=home)] == ["a", "b"]
    assert [one.id for one in find_samples(["calls/*_fr"], data=home)] == ["b"]


def test_recordings_are_named_so_that_any_folder_may_read_them(home: Path, monkeypatch: pytest.MonkeyPatch):
    write_samples([sample("a", "meld_dev", "meld", Path("clips/a.wav"))], home / "meld" / "eval.jsonl")
    monkeypatch.chdir(home)
    assert find_samples(["meld"], data=Path())[0].audio == home / "meld" / "clips" / "a.wav"


def test_the_offline_benchmark_fetches_itself_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fetched: list[Path] = []

    def download(folder: Path, watch: object) -> None:
        folder.mkdir(parents=True)
        fetched.append(folder)

    monkeypatch.setattr(debian_speech, "download", download)
    monkeypatch.setattr(debian_speech, "read", lambda folder: [sample("a", "asterisk_en", "debian-speech")])
    for _ in range(2):
        assert [one.source for one in find_samples(["debian-speech/asterisk_*"], data=tmp_path)] == ["asterisk_en"]
    assert fetched == [tmp_path / "debian-speech"]


def test_two_samples_of_one_name_are_refused(tmp_path: Path):
    for name in ("one", "other"):
        write_samples([sample("a", "calls", "own", Path(f"/{name}.wav"))], tmp_path / f"{name}.jsonl")
    with pytest.raises(UserError, match="two samples of calls are called a"):
        find_samples([str(tmp_path / "one.jsonl"), str(tmp_path / "other.jsonl")])


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.text(max_size=3)), unique=True, max_size=30), st.integers(1, 9))
def test_a_larger_limit_contains_the_smaller(names: list[tuple[str, str]], limit: int):
    samples = [sample(id_, source) for source, id_ in names]
    smaller, larger = limited(samples, limit), limited(samples, limit + 1)
    assert [one for one in larger if one in smaller] == smaller
    for source in "ABC":
        there = sum(one.source == source for one in samples)
        assert sum(one.source == source for one in smaller) == min(limit, there)


def test_a_limit_is_spread_and_does_not_depend_on_the_order(home: Path):
    samples = [sample(f"{number:03}", "A") for number in range(200)]
    chosen = limited(samples, 20)
    assert {one.id for one in limited(samples[::-1], 20)} == {one.id for one in chosen}
    assert chosen != samples[:20]
    assert max(int(one.id) for one in chosen) > 150
    assert len(limited(find_samples(["librispeech"], data=home), 1)) == 3
    with pytest.raises(UserError, match="limit must be at least 1: got 0"):
        limited(samples, 0)


def test_a_limit_takes_ids_of_bytes_that_are_no_text(home: Path):
    assert len(limited([sample(id_, "A") for id_ in ("\udcff", "a")], 1)) == 1


def test_a_source_of_two_tasks_is_refused(tmp_path: Path):
    one = sample("a", "calls", "own")
    two = replace(one, id="b", task="translation", language="de", target_language="en")
    write_samples([one, two], tmp_path / "list.jsonl")
    with pytest.raises(UserError, match="calls holds samples of two tasks, asr and translation; a source is scored by"):
        find_samples([str(tmp_path / "list.jsonl")])
    write_samples([one, replace(two, source="calls_en")], tmp_path / "list.jsonl")
    assert len(find_samples([str(tmp_path / "list.jsonl")])) == 2


def test_the_offline_benchmark_is_listed_anew_by_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made: list[str] = []

    def read(folder: Path) -> list[Sample]:
        made.append(debian_speech.version())
        return [sample(f"made {len(made)}", "asterisk_en", "debian-speech")]

    monkeypatch.setattr(debian_speech, "download", lambda folder, watch: None)
    monkeypatch.setattr(debian_speech, "read", read)
    path = tmp_path / "debian-speech" / "eval.jsonl"
    write_samples([sample("of a release without versions", "asterisk_en", "debian-speech")], path)

    def ids() -> list[str]:
        return [one.id for one in find_samples(["debian-speech"], data=tmp_path)]

    assert (ids(), ids()) == (["made 1"], ["made 1"])
    monkeypatch.setattr(debian_speech, "PACKAGES", debian_speech.PACKAGES[:-1])
    assert (ids(), ids()) == (["made 2"], ["made 2"])
    monkeypatch.setattr(debian_speech, "_RULES", -1)
    assert ids() == ["made 3"]
    write_list("debian-speech", [sample("prepared", "asterisk_en", "debian-speech")], path)
    assert ids() == ["prepared"]
    path.unlink()
    assert ids() == ["made 4"]
    assert len(set(made)) == 3


def test_rows_of_another_count_are_remarked_before_anything_is_asked(home: Path):
    assert count_remarks(find_samples(["librispeech_dev_clean", "meld_dev"], data=home)) == [
        "librispeech_dev_clean: 4 samples, the published row has 2,694",
        "meld: pools meld_dev and meld_test when published; here without meld_test; 1 samples, the published row has "
        "3,716",
    ]
    assert count_remarks([sample("a", "calls", "own")]) == []


def test_a_version_that_cannot_be_written_says_so(tmp_path: Path):
    from auricle.evaluate.tasks import write_list

    (tmp_path / "eval.version").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*eval.version: .*; make room there"):
        write_list("debian-speech", [sample("a", "asterisk_en", "debian-speech")], tmp_path / "eval.jsonl")
