"""The documents tell the truth: named paths exist, shown code runs, the walk walks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
DOCUMENTS += [ROOT / "recipes" / "mini" / "README.md", ROOT / "recipes" / "mini" / "LOG.md"]
_PATH = re.compile(r"`((?:src|tests|docs|examples|recipes|bench)/[\w./-]+)`|\]\((?!https?:|#)([\w./-]+)\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_it_names_exists(document):
    named = [(code, link) for code, link in _PATH.findall(document.read_text())]
    missing = [
        code or link for code, link in named if not ((ROOT / code) if code else (document.parent / link)).exists()
    ]
    assert not missing


@pytest.mark.mini
def test_the_walk_walks():
    shown = subprocess.run(
        [sys.executable, "examples/walk.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "3.29 s, 329 frames, 82 audio tokens" in shown
    assert "He might even have been made" in shown
    assert len((ROOT / "examples" / "walk.py").read_text().splitlines()) <= 30


@pytest.mark.mini
def test_readme_python_example_runs(monkeypatch):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    monkeypatch.chdir(ROOT)
    names: dict = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["transcript"].text
    assert len(names["both"]) == 2


def test_readme_names_only_commands_that_exist():
    from auricle.cli.main import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    shown = set(re.findall(r"^\s*auricle (\w+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE))
    assert shown
    assert shown <= known
