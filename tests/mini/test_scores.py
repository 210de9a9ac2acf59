"""The floors of the shipped, quantised mini on held-out human speech, fetched from Debian and scored by the recipe."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import auricle

RECIPE = Path(__file__).parents[2] / "recipes" / "mini"
pytestmark = [pytest.mark.slow, pytest.mark.mini]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The two English test sets, made by the recipe's own readers."""
    if not shutil.which("apt-get"):
        pytest.skip("the recordings come from Debian packages and this machine has no apt-get")
    root = tmp_path_factory.mktemp("speech")
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    command = [sys.executable, RECIPE / "human.py", "--data", root / "data", "--packages", root / "packages"]
    subprocess.run([*command, "--only", "asterisk", "--only", "librivox"], check=True)
    return root / "data"


@pytest.fixture(scope="module")
def scored(data):
    sys.path.insert(0, str(RECIPE))
    import score

    assistant = auricle.load("mini")
    found = {}
    for name in score.SETS:
        clips = score.test_clips(data, name)
        said = [result.text for result in assistant.transcribe([data / clip.audio for clip in clips])]
        found[name] = score.score(clips, said)
        shuffled = said[1:] + said[:1]
        found[f"{name} shuffled"] = score.score(clips, shuffled)
    return found


@pytest.mark.parametrize(("name", "floor"), [("asterisk-en", 0.28), ("librivox", 0.40)])
def test_word_error_rate_is_below_its_floor(scored, name, floor):
    normalised, strict = scored[name]["normalised"]["rate"], scored[name]["strict"]["rate"]
    assert normalised <= floor
    assert strict <= normalised + 0.15


@pytest.mark.parametrize("name", ["asterisk-en", "librivox"])
def test_another_recordings_words_do_not_pass(scored, name):
    assert scored[f"{name} shuffled"]["normalised"]["rate"] > 0.8
