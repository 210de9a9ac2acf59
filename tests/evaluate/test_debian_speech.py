"""debian-speech, made of miniature packages from a mirror of this machine."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from debian_miniature import Sounds, miniature, offer, tree
from local_server import Server, serve

from auricle import audio
from auricle.errors import UserError
from auricle.evaluate.datasets import debian_speech
from auricle.evaluate.datasets.debian_facts import SetFacts, describe, facts_table
from auricle.evaluate.datasets.debian_pins import PACKAGES
from auricle.evaluate.datasets.debian_sounds import SOUND_LABELS
from auricle.evaluate.datasets.debian_split import is_test
from auricle.evaluate.datasets.debian_texts import clean, spoken_text
from auricle.evaluate.datasets.flac import decode_int16, flac_duration_s, write_flac


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as state:
        yield state


@pytest.fixture(scope="module")
def packages(server, sine, encode_audio):
    return offer(server, miniature(Sounds(sine, encode_audio)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, server, packages) -> Path:
    made = tmp_path_factory.mktemp("debian") / "debian-speech"
    debian_speech.download(made, packages=packages, mirrors=[server.address])
    return made


@pytest.fixture(scope="module")
def samples(folder):
    return debian_speech.read(folder)


def told(samples, task):
    return [(sample.source, sample.id, sample.reference) for sample in samples if sample.task == task]


def test_recognition_holds_every_test_recording_once(samples):
    english = [(sample.id, sample.reference) for sample in samples if sample.source == "librivox_en"]
    assert [identity for identity, _ in english] == [f"sense-{n}" for n in ("0870", "0880", "0890", "0920", "0930")]
    assert english[1][1] == "He was not an ill disposed young man."
    assert [found for found in told(samples, "asr") if found[0] != "librivox_en"] == [
        ("asterisk_en", "agent-pass", "Enter your password"),
        ("asterisk_en", "vm-intro", "Please leave a message."),
        ("asterisk_es", "agent-pass", "Su contraseña"),
        ("asterisk_fr", "agent-pass", "Mot de passe."),
        ("asterisk_fr", "ship", "Un bateau."),
        ("asterisk_it", "agent-pass", "La password."),
        ("asterisk_ru", "dog", "Собака."),
        ("asterisk_ru", "vm-intro", "Оставьте сообщение."),
        ("tuxpaint_fr", "animals/cat_desc_fr", "Un chat."),
        ("tuxpaint_fr", "food/apple_desc_fr", "Plus grand que."),
        ("tuxpaint_fr", "insects/spider_desc_fr", "Une araignée."),
        ("tuxpaint_fr", "math/2_fr", "Deux."),
        ("tuxpaint_ru", "animals/cat_desc_ru", "Кошка."),
    ]


def test_translation_holds_what_has_english_that_was_not_trained_on(samples):
    assert told(samples, "translation") == [
        ("asterisk_es_en_translation", "agent-pass", "Enter your password"),
        ("asterisk_fr_en_translation", "agent-pass", "Enter your password"),
        ("asterisk_it_en_translation", "agent-pass", "Enter your password"),
        ("asterisk_ru_en_translation", "vm-intro", "Please leave a message."),
        ("tuxpaint_fr_en_translation", "animals/cat_desc_fr", "A cat."),
        ("tuxpaint_fr_en_translation", "insects/spider_desc_fr", "A spider."),
        ("tuxpaint_fr_en_translation", "math/2_fr", "Two."),
        ("tuxpaint_ru_en_translation", "animals/cat_desc_ru", "A cat."),
    ]
    assert {sample.target_language for sample in samples if sample.task == "translation"} == {"en"}


def test_sounds_are_named_from_a_closed_list(samples):
    sounds = [sample for sample in samples if sample.task == "sound"]
    assert Counter(sample.reference for sample in sounds) == {label: len(ids) for label, ids in SOUND_LABELS.items()}
    assert {sample.labels for sample in sounds} == {tuple(SOUND_LABELS)}
    assert all(label in sounds[0].prompt for label in SOUND_LABELS)
    assert all(sample.speaker is None and sample.language is None for sample in sounds)


def test_every_label_has_five_clips_and_every_clip_one_label():
    names = [name for ids in SOUND_LABELS.values() for name in ids]
    assert len(set(names)) == len(names)
    assert min(map(len, SOUND_LABELS.values())) >= 5


def test_a_sample_says_who_speaks_and_whether_mini_knows_them(samples):
    by_source = {sample.source: sample for sample in samples}
    spanish, french = by_source["asterisk_es"], by_source["tuxpaint_fr"]
    assert (spanish.speaker, spanish.language, dict(spanish.details)["speaker_in_training"]) == (
        "Allison Smith",
        "es",
        "known",
    )
    assert (french.speaker, dict(french.details)["speaker_in_training"]) == ("tuxpaint-fr", "new")
    assert dict(by_source["librivox_en"].details)["speaker_in_training"] == "new"
    assert spanish.prompt == "Detect the language and recognize the speech: <|es|>"
    translated = by_source["tuxpaint_fr_en_translation"]
    assert translated.prompt == "Detect the language and translate the speech into English: <|fr|>"


def test_ids_are_unique_and_recordings_are_whole(samples):
    assert len({(sample.source, sample.id) for sample in samples}) == len(samples)
    for sample in samples:
        assert sample.dataset == "debian-speech"
        assert audio.load(sample.audio).duration_s == pytest.approx(sample.duration_s, abs=1e-3)


def test_the_tone_of_a_prompt_survives_g722(samples):
    """A raw format without a header, at twice the rate that telephones say it has."""
    (prompt,) = [sample for sample in samples if (sample.source, sample.id) == ("asterisk_en", "agent-pass")]
    heard = np.abs(np.fft.rfft(audio.load(prompt.audio).samples[1600:4800]))
    assert int(heard.argmax()) * 5 == pytest.approx(220, abs=5)  # the first that `Sounds` makes; 5 Hz a bin


def test_pictures_and_training_recordings_stay_packed(folder):
    kept = tree(folder / "packages")
    assert not [name for name in kept if name.endswith((".png", ".deb", ".tar"))]
    assert not [name for name in kept if "hello" in name or "bee_desc" in name]
    assert [name for name in kept if name.endswith("cat_desc_fr.ogg")]


def test_a_second_download_makes_only_what_is_missing(folder, server, packages):
    lost = folder / "audio/tuxpaint_fr/animals/cat_desc_fr.flac"
    other = folder / "audio/asterisk_en/agent-pass.flac"
    before, written, num_asked = lost.read_bytes(), other.stat().st_mtime_ns, len(server.asked)
    lost.unlink()
    with pytest.raises(UserError, match=r"1 recordings of debian-speech are missing .*cat_desc_fr\.flac; run"):
        debian_speech.read(folder)
    debian_speech.download(folder, packages=packages, mirrors=[server.address])
    assert lost.read_bytes() == before
    assert other.stat().st_mtime_ns == written
    assert len(server.asked) == num_asked


def test_a_training_recording_that_lies_there_is_no_sample(folder, samples):
    """As in a folder of packages that somebody unpacked whole."""
    stamps = folder / "packages/tuxpaint-stamps-default/usr/share/tuxpaint/stamps/animals"
    learnt = stamps / "bee_desc_fr.ogg"
    learnt.write_bytes((stamps / "cat_desc_fr.ogg").read_bytes()[::-1])
    try:
        assert debian_speech.read(folder) == samples
    finally:
        learnt.unlink()


def test_progress_counts_the_bytes_of_all_packages(tmp_path, server, packages):
    told = []
    debian_speech.download(tmp_path, lambda *one: told.append(one), packages=packages, mirrors=[server.address])
    total = sum(package.num_bytes for package in packages)
    assert {of for _, of in told} == {total}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == total


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"lacks asterisk-core-sounds-en, .*run `auricle data download debian-speech`"):
        debian_speech.read(tmp_path)


def test_the_facts_of_each_set(samples):
    facts = {one.source: one for one in describe(samples)}
    assert facts["tuxpaint_fr"].num_clips == 4
    assert facts["tuxpaint_fr"].audio_s == pytest.approx(4 * 0.4, abs=0.2)
    assert facts["asterisk_en"] == SetFacts("asterisk_en", "asr", 2, facts["asterisk_en"].audio_s, 7, "1", "known")
    assert (facts["tuxpaint_fr"].speakers, facts["tuxpaint_fr"].known) == ("1 or more", "new")
    assert (facts["tuxpaint_sounds"].num_words, facts["tuxpaint_sounds"].speakers) == (6, "none")
    table = facts_table(facts.values()).splitlines()
    assert len(table) == 2 + len(facts)
    assert {line.count("|") for line in table} == {8}
    assert "| asterisk_en | asr | 2 | 0.0 | 7 | 1 | known |" in table


def test_every_source_is_in_the_list_of_sources(samples):
    assert {sample.source for sample in samples} <= set(debian_speech.SOURCES)
    order = [debian_speech.SOURCES.index(sample.source) for sample in samples]
    assert order == sorted(order)


def test_pins_are_whole():
    assert len({package.name for package in PACKAGES}) == len(PACKAGES) == 12
    assert all(len(package.sha256) == 64 and package.pool.startswith("pool/main/") for package in PACKAGES)


@pytest.mark.parametrize(
    ("language", "raw", "written"),
    [
        ("en", "press [*] to return to the main menu", "Press to return to the main menu."),
        ("en", "...at the tone", "At the tone"),
        ("en", "vm-goodbye: Goodbye!", "Goodbye!"),
        ("es", "su extension es", "Su extensión es"),
        ("it", "c'? pi? tempo", None),  # what stands for the first letter is not known
        ("fr", "appuyez sur #1", None),
    ],
)
def test_prompt_texts_as_a_listener_writes_them(language, raw, written):
    assert clean(raw, language=language) == written


def test_stamp_texts_as_they_are_read():
    assert spoken_text("Un canard (mâle).", stem="duck", language="fr") == "Un canard, mâle."
    assert spoken_text("A wild boar.", stem="wildboar", language="en") == "Wild boar"
    assert spoken_text("A rhea.", stem="nandou", language="en") is None


def test_about_three_of_sixteen_are_test():
    share = sum(is_test(f"prompt-{number}") for number in range(4000)) / 4000
    assert share == pytest.approx(3 / 16, abs=0.02)


def test_flac_keeps_every_sample(tmp_path, noise):
    samples = (noise(0.7) * 20_000).astype(np.int16)
    write_flac(samples, tmp_path / "a" / "b.flac")
    assert np.array_equal(decode_int16(tmp_path / "a" / "b.flac"), samples)
    assert flac_duration_s(tmp_path / "a" / "b.flac") == len(samples) / 16_000
    with av.open(str(tmp_path / "a" / "b.flac")) as file:
        assert (file.streams.audio[0].rate, file.streams.audio[0].channels) == (16_000, 1)
