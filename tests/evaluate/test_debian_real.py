"""debian-speech as everybody gets it: the real packages, the real recordings, and nothing that mini was trained on."""

import gzip
import hashlib
from collections import defaultdict
from pathlib import Path

import pytest

from auricle.data.parallel import in_order
from auricle.evaluate.datasets import debian_speech
from auricle.evaluate.datasets.debian_packages import fetch_package
from auricle.evaluate.datasets.debian_pins import PACKAGES
from auricle.evaluate.datasets.debian_recordings import asterisk_prompts
from auricle.evaluate.datasets.debian_split import is_test, normalise
from auricle.evaluate.datasets.flac import decode_int16
from auricle.evaluate.sample import Sample

pytestmark = pytest.mark.slow
RECIPE = Path(__file__).parents[2] / "recipes" / "mini"
IDS = {  # source -> how many samples, and the first half of sha256 over their ids, a line each
    "asterisk_en": (101, "33792decd766a745"),
    "asterisk_es": (89, "f0ff791e7b54f5df"),
    "asterisk_fr": (91, "23d5434b1eec4970"),
    "asterisk_it": (103, "4da957410d2b4bff"),
    "asterisk_ru": (103, "ab1dd3c04471bd8f"),
    "librivox_en": (5, "f3fdc03dbeb38ea6"),
    "tuxpaint_be": (107, "31885603fb87a6e4"),
    "tuxpaint_bg": (151, "0394074c780465d8"),
    "tuxpaint_ca": (153, "b8dd6fe255b61266"),
    "tuxpaint_da": (51, "6b986cec0e8f4b43"),
    "tuxpaint_el": (98, "504b87a3b25fd5f9"),
    "tuxpaint_es": (148, "928c3312d0a6643f"),
    "tuxpaint_fr": (147, "a92843cddd83e3fb"),
    "tuxpaint_nl": (14, "c9bd76a3eab2409c"),
    "tuxpaint_ro": (150, "6e089b5208acb491"),
    "tuxpaint_ru": (150, "1bf55989fb093547"),
    "asterisk_es_en_translation": (85, "0e8d237b36c78f76"),
    "asterisk_fr_en_translation": (90, "2bf66378757e23e5"),
    "asterisk_it_en_translation": (100, "9fa3d870bb5d75fe"),
    "asterisk_ru_en_translation": (101, "33792decd766a745"),
    "tuxpaint_be_en_translation": (106, "3d8d6b477e3cdaf6"),
    "tuxpaint_bg_en_translation": (150, "a0fbc0a8588aef69"),
    "tuxpaint_ca_en_translation": (152, "065cef98c4aae3cb"),
    "tuxpaint_da_en_translation": (51, "6b986cec0e8f4b43"),
    "tuxpaint_el_en_translation": (97, "a3262d436f4d07b8"),
    "tuxpaint_es_en_translation": (147, "fde191f40f576837"),
    "tuxpaint_fr_en_translation": (146, "87555c4f0f572399"),
    "tuxpaint_nl_en_translation": (14, "c9bd76a3eab2409c"),
    "tuxpaint_ro_en_translation": (149, "a49bee2431b88c9a"),
    "tuxpaint_ru_en_translation": (149, "c9b34f94c50c7282"),
    "tuxpaint_sounds": (61, "bd2b3a39a9e6705b"),
}


@pytest.fixture(scope="module")
def samples(debian_home: Path) -> list[Sample]:
    return debian_speech.read(debian_home / debian_speech.DATASET)


@pytest.fixture(scope="module")
def training() -> list[list[str]]:
    """Source, id, hash of the samples, normalised text of all that mini was trained on."""
    return [
        line.split("\t") for line in gzip.decompress((RECIPE / "training.tsv.gz").read_bytes()).decode().splitlines()
    ]


def held_out() -> list[list[str]]:
    return [line.split("\t") for line in (RECIPE / "test.tsv").read_text().splitlines()]


def digest(path: Path, container: str | None = None) -> str:
    return hashlib.sha256(decode_int16(path, container=container).tobytes()).hexdigest()[:16]


def stem(sample: Sample) -> str:
    """What the split goes by."""
    if sample.source.startswith("tuxpaint"):
        return sample.id.rsplit("/", 1)[-1].partition("_desc")[0].removesuffix(f"_{sample.language}")
    return sample.id


def test_every_source_holds_the_pinned_ids(samples):
    found = defaultdict(list)
    for sample in samples:
        found[sample.source].append(sample.id)
    assert {
        source: (len(ids), hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]) for source, ids in found.items()
    } == IDS
    assert set(IDS) == set(debian_speech.SOURCES)


def test_the_recognition_sets_are_the_test_split_of_the_recipe(samples):
    """Ids and texts are those that the recipe kept out, but for copies of the same recording."""
    for source in ("asterisk-en", "asterisk-es", "asterisk-fr", "asterisk-it", "asterisk-ru", "librivox"):
        ours = "librivox_en" if source == "librivox" else source.replace("-", "_")
        assert {(one.id, normalise(one.reference)) for one in samples if one.source == ours} == {
            (identity, text) for its, identity, _, text in held_out() if its == source
        }
    painted = {text for source, _, _, text in held_out() if source == "tuxpaint"}
    texts = {normalise(one.reference) for one in samples if one.source.startswith("tuxpaint") and one.task == "asr"}
    assert texts <= painted
    assert len(texts) > 900


def test_prompts_and_audiobook_sound_as_the_recipe_heard_them(samples):
    """Their codecs are exact everywhere; Vorbis is not."""
    kept = {(identity, audio) for source, identity, audio, _ in held_out() if source != "tuxpaint"}
    exact = [one for one in samples if one.task == "asr" and not one.source.startswith("tuxpaint")]
    assert len(exact) == len(kept)
    assert {(one.id, digest(one.audio)) for one in exact} == kept


def test_nothing_was_trained_on(samples, training):
    trained = {(source, identity) for source, identity, *_ in training}
    hashes, texts = {row[2] for row in training}, {row[3] for row in training}
    for sample in (one for one in samples if one.task != "sound"):
        assert sample.source == "librivox_en" or is_test(stem(sample)), sample
        assert (sample.source[: len("asterisk-en")].replace("_", "-"), sample.id) not in trained, sample
        assert normalise(sample.reference) not in texts, sample
    recordings = sorted({sample.audio for sample in samples})
    assert len(recordings) > 1600
    assert not hashes & set(in_order(lambda index: digest(recordings[index]), len(recordings)))


def test_what_was_trained_on_would_be_found(tmp_path, training):
    """The control of the test above: prompts of the training split, by the same means."""
    packages = {package.name: package for package in PACKAGES}
    name = "asterisk-core-sounds-en"
    texts, sounds = (fetch_package(packages[one], tmp_path) for one in (name, f"{name}-g722"))
    learnt = [one for one in asterisk_prompts(texts, sounds, "en") if not one.is_test][:20]
    rows = {tuple(row) for row in training}
    found = [("asterisk-en", one.identity, digest(one.path, "g722"), normalise(one.text)) in rows for one in learnt]
    assert sum(found) > 10  # the others repeat a test text, or are too short


def test_sounds_are_sounds_and_each_is_another(samples):
    sounds = [sample for sample in samples if sample.task == "sound"]
    assert len({digest(sample.audio) for sample in sounds}) == len(sounds)
    for sample in sounds:
        assert abs(decode_int16(sample.audio).astype(int)).max() > 1000, sample.id
