"""Manifests of confusions: each kind, what it holds, and the two commands that write preferences."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from auricle.data import Dialogue, Labelled, Preference, Recording
from auricle.data.manifest import open_records
from auricle.errors import UserError
from auricle.train.confusions import KINDS, ConfusionSettings, confusions

TEXTS = (
    "the ship was fifteen miles away",
    "he said the light was green",
    "a dog barks at night",
    "come home soon please",
)


def words(text: str) -> int:
    return len(text.split())


@pytest.fixture
def records(recordings: list[Path]) -> list[Labelled]:
    spoken = [
        Labelled(f"m:{n}", f"{n}", "s", (Recording(recordings[n % 3]),), "asr", text, "en")
        for n, text in enumerate(TEXTS)
    ]
    toned = [
        Labelled(f"m:{n + 9}", f"{n + 9}", "s", (Recording(recordings[n]),), "emotion", tone)
        for n, tone in enumerate(("sincere", "sarcastic"))
    ]
    return [*spoken, *toned]


def test_kinds_that_need_no_model(records: list[Labelled], tmp_path: Path):
    out = tmp_path / "new" / "pairs.jsonl"
    settings = ConfusionSettings(kinds=("swaps", "mishearings", "tones", "noisy"), tolerance=0.3)
    made = confusions(records, out, length=words, settings=settings)
    pairs = [record for record in open_records(out) if isinstance(record, Preference)]
    assert len(pairs) == made.total()
    assert made["swaps"] == 4
    assert made["tones"] == 2
    assert 1 <= made["mishearings"] <= 4
    assert made["noisy"] == made["swaps"] + made["mishearings"]
    noisy = [pair for pair in pairs if pair.id.endswith(", noisy")]
    assert {pair.recordings[0].path.parent.name for pair in noisy} == {"pairs-noisy"}
    swapped = [pair for pair in pairs if "swapped" in pair.id]
    assert len(swapped) == 8
    assert Counter(pair.chosen for pair in swapped) == Counter(pair.rejected for pair in swapped)
    again = tmp_path / "again.jsonl"
    confusions(records, again, length=words, settings=settings)
    ids = [[json.loads(line)["id"] for line in path.read_text().splitlines()] for path in (out, again)]
    assert ids[0] == ids[1]


def test_what_confusions_are_not_made_of(records: list[Labelled], tmp_path: Path):
    turns = Dialogue("m:1", "1", "s", (), ())
    with pytest.raises(UserError, match="no labelled recordings: confusions are made of"):
        confusions([turns], tmp_path / "x.jsonl", length=words, settings=ConfusionSettings())
    with pytest.raises(UserError, match="the kind misheard needs a model that hears"):
        confusions(records, tmp_path / "x.jsonl", length=words, settings=ConfusionSettings(kinds=("misheard",)))
    with pytest.raises(UserError, match=f"unknown kind of confusion 'swap': expected one of {', '.join(KINDS)}"):
        ConfusionSettings(kinds=("swap",))
    with pytest.raises(UserError, match="the tolerance of lengths must lie in 0 to 1: got 2"):
        ConfusionSettings(tolerance=2)
    with pytest.raises(UserError, match=r"the range of snr_db runs from 10 to 0\.0; exchange them"):
        ConfusionSettings(snr_db=(10, 0.0))


@pytest.fixture
def in_shard(records: list[Labelled]) -> list[Labelled]:
    return [replace(one, recordings=(Recording(Path("s.tar"), 512, 99),)) for one in records]


@pytest.mark.parametrize("kind", ["swaps", "mishearings", "tones"])
def test_recordings_in_a_shard_are_refused_before_any_work(
    records: list[Labelled], in_shard: list[Labelled], tmp_path: Path, kind: str
):
    out = tmp_path / "new" / "pairs.jsonl"
    with pytest.raises(UserError, match="m:9: the recording lies inside a shard, which a line cannot name"):
        confusions(
            [*records[:4], *in_shard[4:]],
            out,
            length=lambda text: pytest.fail("work was done"),
            settings=ConfusionSettings(kinds=(kind,)),
        )
    assert not out.parent.exists()


def test_noisy_recordings_are_files_of_their_own_wherever_the_clean_ones_lie(recordings: list[Path], tmp_path: Path):
    shard = tmp_path / "s.tar"
    sound = recordings[0].read_bytes()
    shard.write_bytes(sound)
    inside = Recording(shard, 0, len(sound))
    spoken = [Labelled(f"m:{n}", f"{n}", "s", (inside,), "asr", text, "en") for n, text in enumerate(TEXTS)]
    settings = ConfusionSettings(kinds=("noisy",), tolerance=1.0)
    assert confusions(spoken, tmp_path / "pairs.jsonl", length=words, settings=settings)["noisy"] >= 4


def test_kinds_of_which_there_are_none_write_no_file(records: list[Labelled], tmp_path: Path):
    out = tmp_path / "pairs.jsonl"
    for left in (records[:4], records[:5]):  # no tone at all, or only one of the two
        with pytest.raises(UserError, match="no tones: expected recordings labelled sincere and others labelled sarc"):
            confusions(left, out, length=words, settings=ConfusionSettings(kinds=("swaps", "tones"), tolerance=1.0))
    with pytest.raises(UserError, match="no pairs of the kinds swaps: expected recordings whose answers are of like"):
        confusions(records[:1], out, length=words, settings=ConfusionSettings(kinds=("swaps",)))
    assert not out.exists()


@pytest.fixture
def manifest(recordings: list[Path], tmp_path: Path) -> Path:
    path = tmp_path / "asr.jsonl"
    lines = [{"audio": str(recordings[n % 3]), "text": text, "id": f"{n}"} for n, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_command_that_makes_confusions(
    run_cli: Callable[..., tuple[int, str, str]], manifest: Path, checkpoint_dir: Path, tmp_path: Path
):
    out = tmp_path / "pairs.jsonl"
    arguments = ("--model", checkpoint_dir, "--kind", "swaps", "--kind", "misheard", "--tolerance", 1.0)
    code, printed, errors = run_cli("data", "confusions", manifest, "--out", out, *arguments, "--snr-db", -5, 5)
    assert (code, errors) == (0, "")
    assert "swaps 4, misheard" in printed
    assert f"{len(out.read_text().splitlines())} pairs" in printed
    code, _, errors = run_cli("data", "confusions", manifest, "--out", out, "--model", checkpoint_dir, "--kind", "swap")
    assert code == 2
    assert "unknown kind of confusion 'swap'" in errors


def test_the_command_that_draws_rollouts(
    run_cli: Callable[..., tuple[int, str, str]], manifest: Path, checkpoint_dir: Path, tmp_path: Path
):
    """Started again, nothing is drawn and the same is told; a judge that does not answer is told before."""
    out = tmp_path / "pairs.jsonl"
    arguments = ("--out", out, "--model", checkpoint_dir, "--num", 2, "--max-new-tokens", 6)
    code, printed, _ = run_cli("data", "rollout", manifest, *arguments)
    assert code == 0
    assert "of 4 prompts gave a pair" in printed
    seen = out.with_suffix(".seen.jsonl").read_text()
    assert len(seen.splitlines()) == 4
    assert run_cli("data", "rollout", manifest, *arguments)[1] == printed
    assert out.with_suffix(".seen.jsonl").read_text() == seen
    code, _, errors = run_cli("data", "rollout", manifest, *arguments, "--judge", "http://127.0.0.1:9/v1")
    assert code == 2
    assert "is the server running?" in errors
