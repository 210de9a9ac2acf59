"""What `make demo` promises: mini hears people it never trained on and gives the single right answers."""

import importlib.util
from pathlib import Path

import pytest

import auricle
from auricle.metrics import WER, edit_counts

pytestmark = pytest.mark.mini
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demo():
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def assistant():
    return auricle.load("mini")


def _words(text: str) -> str:
    return " ".join("".join(c for c in text.lower() if c.isalnum() or c.isspace()).split())


@pytest.mark.parametrize("name", ["KNOWN_SPEAKER", "NEW_SPEAKER"])
def test_hears_people_it_never_trained_on(assistant, demo, name):
    recording = getattr(demo, name)
    truth = recording.with_suffix(".txt").read_text()
    heard = assistant.transcribe(recording).text
    assert WER.of(edit_counts(_words(truth).split(), _words(heard).split())) <= 0.35, heard


def test_writes_cased_and_punctuated_text(assistant, demo):
    text = assistant.transcribe(demo.KNOWN_SPEAKER).text
    assert text[0].isupper()
    assert text.endswith(".")


def test_still_knows_the_capital_of_france(assistant, demo):
    assert "Paris" in assistant.ask(demo.TEXT_QUESTION).text


def test_names_the_language_it_hears(assistant, demo):
    answers = assistant.ask(demo.SOUND_QUESTION, [demo.SPANISH, demo.KNOWN_SPEAKER])
    assert ["Spanish" in answers[0].text, "English" in answers[1].text] == [True, True], answers


def test_a_batch_never_changes_an_answer(demo):
    one, many = auricle.load("mini", batch_size=1), auricle.load("mini", batch_size=3)
    recordings = [demo.KNOWN_SPEAKER, demo.NEW_SPEAKER, demo.SPANISH]
    assert [one.transcribe(recording).text for recording in recordings] == [r.text for r in many.transcribe(recordings)]


def test_the_demo_prints_what_it_says(demo, capsys):
    demo.main()
    shown = capsys.readouterr().out
    assert "Paris" in shown
    assert "Spanish" in shown
    assert shown.count("mini hears:") == 2
