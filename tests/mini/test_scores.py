"""The floors of the shipped, quantised mini on held-out human speech, fetched from Debian and scored by the recipe."""

import sys
from pathlib import Path

import pytest

import auricle

RECIPE = Path(__file__).parents[2] / "recipes" / "mini"
pytestmark = [pytest.mark.slow, pytest.mark.mini]


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
    normalised, strict = scored[name]["normalised"]["value"], scored[name]["strict"]["value"]
    assert normalised <= floor
    assert strict <= normalised + 0.15


@pytest.mark.parametrize("name", ["asterisk-en", "librivox"])
def test_another_recordings_words_do_not_pass(scored, name):
    assert scored[f"{name} shuffled"]["normalised"]["value"] > 0.8
