"""A dry run shows what would be learnt, in colour, and leaves nothing behind."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from auricle.data.settings import DataSettings, SourceSettings
from auricle.train.dry_run import HEARD, LEARNT, READ, sequences, show_packs
from auricle.train.opening import open_run
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


def test_a_misspelt_key_is_named(recipe: Recipe, run_cli):
    code, _, told = run_cli("train", "sft", "stepz=3")
    assert code == 2
    assert "stepz=3: unknown setting stepz; did you mean steps?" in told
