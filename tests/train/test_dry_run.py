"""A dry run shows what would be learnt, in colour, and leaves nothing behind."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from auricle.data.records import Labelled, Preference, Recording
from auricle.data.settings import DataSettings, SourceSettings
from auricle.data.source import Source
from auricle.errors import UserError
from auricle.train.dry_run import HEARD, LEARNT, READ, sequences, show_packs
from auricle.train.opening import open_run, shared_recordings
from auricle.train.settings import PhaseSettings, Recipe


@pytest.fixture
def recipe(tmp_path: Path, checkpoint_dir: Path, recordings: list[Path]) -> Recipe:
    lines = []
    for number, path in enumerate(recordings):
        shutil.copy(path, tmp_path)
        turns = [
            {"from": "human", "value": f"<audio>What is {number}?"},
            {"from": "gpt", "value": f"said fox {number}"},
        ]
        lines.append(json.dumps({"audio": path.name, "conversations": turns}) + "\n")
    (tmp_path / "sft.jsonl").write_text("".join(lines))
    data = DataSettings(train=(SourceSettings(tmp_path / "sft.jsonl"),), pack_tokens=150, num_workers=0)
    return Recipe(model=str(checkpoint_dir), out=tmp_path / "run", phases=(PhaseSettings(decoder=1e-3),), data=data)


def test_what_is_learnt_is_green_and_nothing_else(recipe: Recipe):
    with open_run(recipe, "sft") as run:
        pack = next(iter(run.stream)).packs[0]
        lines = list(sequences(pack, run.tokenizer, run.audio_id))
    assert len(lines) == len(pack.labels)
    for line in lines:
        styles: dict[str, str] = {}
        for span in line.spans:
            styles[span.style] = styles.get(span.style, "") + line.plain[span.start : span.end]
        assert styles[LEARNT].startswith("said fox")
        assert styles[LEARNT].endswith("<|im_end|>")
        assert "What is" in styles[READ]
        assert "said" not in styles[READ]
        assert styles[HEARD].startswith("<|AUDIO|> x ")


def test_ten_packs_and_no_run(recipe: Recipe):
    console = Console(record=True, width=100, force_terminal=True)
    show_packs(recipe, "sft", console)
    text = console.export_text()
    assert [f"pack {number}: " in text for number in range(11)] == [True] * 10 + [False]
    assert "tokens" in text
    assert not recipe.out.exists()


def test_on_the_command_line(recipe: Recipe, run_cli):
    [source] = recipe.data.train
    train = f"data.train=[{{path: {source.path}}}]"
    code, printed, _ = run_cli(
        *("train", "sft", train, "--model", recipe.model, "--out", recipe.out, "--data.pack-tokens", 150),
        *("data.num_workers=0", "data.augment.chance=1", "--dry-run"),
    )
    assert (code, recipe.out.exists()) == (0, False)
    assert printed.count("said fox") >= 10


def test_recordings_held_out_and_trained_on_are_counted(recipe: Recipe):
    folder = recipe.out.parent
    (folder / "other").mkdir()
    lines = (folder / "sft.jsonl").read_text().splitlines()
    [first, *_] = names = [json.loads(line)["audio"] for line in lines]
    for name in names[1:]:
        shutil.move(folder / name, folder / "other")
    (folder / "train.jsonl").write_text(lines[0] + "\n")
    (folder / "more.jsonl").write_text(lines[0].replace(first, f"other/../{first}") + "\n")
    there = [line.replace(name, f"other/{name}") + "\n" for line, name in zip(lines[1:], names[1:], strict=True)]
    (folder / "others.jsonl").write_text("".join(there))

    def notes(*heldout: str) -> tuple[str, ...]:
        train = (SourceSettings(folder / "train.jsonl"),)
        held = tuple(SourceSettings(folder / name) for name in heldout)
        with open_run(replace(recipe, data=replace(recipe.data, train=train, heldout=held)), "sft") as run:
            return run.notes

    assert notes() == ()
    assert notes("others.jsonl") == ()
    [note] = [note for note in notes("others.jsonl", "more.jsonl") if "held-out recordings" in note]
    assert note.startswith(f"of {len(lines)} held-out recordings 1 are trained on too, {folder}")
    assert note.endswith(f"{first} among them: held-out loss and answers look better than they are")
    with pytest.raises(UserError, match=r"of 1 held-out .* among them; hold out others, or leave data.heldout empty"):
        notes("more.jsonl")


def test_members_of_a_shard_are_told_apart():
    def source(*offsets: int) -> Source:
        recordings = tuple(Recording(Path("a.tar"), offset=offset) for offset in offsets)
        return Source("a", [Labelled("a", "a", "a", recordings, "asr", "a")], 1.0)

    assert shared_recordings([source(512, 1024)], [source(2048)]) == ()
    assert shared_recordings([source(512, 1024)], [source(1024, 2048)])[0].startswith("of 2 held-out recordings 1 are")


def test_recordings_of_rejected_answers_count():
    def source(name: str, rejected: str) -> Source:
        pair = Preference("a", "a", "a", (Recording(Path(name)),), (), "x", "y", None, (Recording(Path(rejected)),))
        return Source("a", [pair], 1.0)

    [note] = shared_recordings([source("a.wav", "b.wav")], [source("c.wav", "b.wav")])
    assert "b.wav among them" in note


def test_a_misspelt_key_is_named(recipe: Recipe, run_cli):
    code, _, told = run_cli("train", "sft", "stepz=3")
    assert code == 2
    assert "stepz=3: unknown setting stepz; did you mean steps?" in told
