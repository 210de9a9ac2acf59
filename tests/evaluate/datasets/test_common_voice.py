"""Common Voice's layout in miniature: read, and refused where it is not whole."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auricle.audio import load
from auricle.errors import UserError
from auricle.evaluate.datasets import common_voice
from auricle.evaluate.sample import Sample

COLUMNS = [
    "client_id",
    "path",
    "sentence",
    "up_votes",
    "down_votes",
    "age",
    "gender",
    "accents",
    "variant",
    "locale",
    "segment",
]
SENTENCES = {  # quotes that never close, as real sentences have them
    "en": ['"Why not?" he asked.', "He is 6'2\" tall", '"Open'],
    "zh-CN": ["“他说”", "三角形", "第二天"],
    "zh-HK": ["好啦", "係呀", "唔該"],
    "yue": ["你好", "早晨", "多謝"],
    "fr": ["L’été.", "« Oui »", "Ça va"],
    "de": ["Ja", "Nein", "Doch"],
}


@pytest.fixture
def corpus(tmp_path: Path, sine: Callable[..., np.ndarray], encode_audio: Callable[..., bytes]) -> Path:
    """Six locales of three clips in the test set and one beyond it."""
    recording = encode_audio(sine(0.5, rate=32000)[None], container="mp3", codec="libmp3lame", rate=32000)
    root = tmp_path / "cv-corpus-15.0-2023-09-08"
    for locale, sentences in SENTENCES.items():
        (root / locale / "clips").mkdir(parents=True)
        rows = [COLUMNS]
        for number, sentence in enumerate(sentences):
            name = f"common_voice_{locale}_{number}.mp3"
            rows.append([f"{number % 2}" * 128, name, sentence, "2", "0", *[""] * 4, locale, ""])
            (root / locale / "clips" / name).write_bytes(recording)
        (root / locale / "clips" / f"common_voice_{locale}_99.mp3").write_bytes(recording)  # of another split
        table = "".join("\t".join(row) + "\n" for row in rows)
        (root / locale / "test.tsv").write_text(table, encoding="utf-8")
    return root


def test_every_published_locale_that_is_there_is_read(corpus: Path):
    samples = common_voice.read(corpus)
    sources = {sample.source: sample.language for sample in samples}
    assert sources == {
        "common_voice_15_en": "en",
        "common_voice_15_zh": "zh",
        "common_voice_15_yue": "yue",
        "common_voice_15_locale_yue": "yue",
        "common_voice_15_fr": "fr",
    }
    texts = [sample.reference for sample in samples]
    assert texts == [text for locale in ("en", "zh-CN", "zh-HK", "yue", "fr") for text in SENTENCES[locale]]
    assert samples[0] == Sample(
        id="common_voice_en_0",
        dataset="common_voice_15",
        source="common_voice_15_en",
        task="asr",
        audio=corpus / "en" / "clips" / "common_voice_en_0.mp3",
        prompt="Detect the language and recognize the speech: <|en|>",
        reference='"Why not?" he asked.',
        language="en",
        speaker="0" * 128,
    )
    assert samples[1].speaker == "1" * 128
    assert load(samples[0].audio).duration_s == pytest.approx(0.5, abs=0.1)


def test_the_published_cantonese_is_the_locale_of_hong_kong(corpus: Path):
    [first, *_] = [sample for sample in common_voice.read(corpus) if sample.source == "common_voice_15_yue"]
    assert first.audio.parts[-3] == "zh-HK"


@pytest.mark.parametrize(("place", "count"), [("..", 15), ("fr", 3)])
def test_any_folder_of_the_layout_may_be_given(corpus: Path, place: str, count: int):
    assert len(common_voice.read(corpus / place)) == count


def test_the_working_directory_may_be_a_locale(corpus: Path, monkeypatch: pytest.MonkeyPatch):
    table = corpus / "fr" / "test.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("Ça va", " Ça va "), encoding="utf-8")
    monkeypatch.chdir(corpus / "fr")
    assert [sample.reference for sample in common_voice.read(Path())] == SENTENCES["fr"]


def test_stated_durations_are_taken(corpus: Path):
    table = "clip\tduration[ms]\ncommon_voice_fr_99.mp3\t9999\ncommon_voice_fr_1.mp3\t4536\ncommon_voice_fr_2.mp3\tx\n"
    (corpus / "fr" / "clip_durations.tsv").write_text(table)
    assert [sample.duration_s for sample in common_voice.read(corpus / "fr")] == [None, 4.536, None]


def test_an_empty_client_is_no_speaker(corpus: Path):
    table = corpus / "fr" / "test.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("0" * 128, "").replace(".mp3", ""), encoding="utf-8")
    samples = common_voice.read(corpus / "fr")
    assert [sample.speaker for sample in samples] == [None, "1" * 128, None]
    assert samples[0].audio.name == "common_voice_fr_0.mp3"  # as early releases wrote clips, without their ending


def test_missing_clips_are_counted(corpus: Path):
    for number in (0, 2):
        (corpus / "fr" / "clips" / f"common_voice_fr_{number}.mp3").unlink()
    with pytest.raises(
        UserError, match=r"fr: 2 of 3 transcripts have no recording, such as common_voice_fr_0, common_vo"
    ):
        common_voice.read(corpus)


def test_a_damaged_table_is_refused(corpus: Path):
    table = corpus / "fr" / "test.tsv"
    whole = table.read_text(encoding="utf-8")
    table.write_text(whole.replace("Oui", "O\tui"), encoding="utf-8")
    with pytest.raises(UserError, match=r"test.tsv:3 has 12 fields, its header 11; unpack the archive again"):
        common_voice.read(corpus)
    table.write_text(whole.replace("sentence", "text"), encoding="utf-8")
    with pytest.raises(
        UserError, match=r"test.tsv has no column sentence; expected client_id, path, sentence and more"
    ):
        common_voice.read(corpus)
    table.write_text(whole.replace("Oui", "o" * 200_000), encoding="utf-8")
    with pytest.raises(UserError, match=r"test.tsv:3 is no line of a table \(field larger than field limit"):
        common_voice.read(corpus)
    table.write_text("")
    with pytest.raises(UserError, match=r"test.tsv has no column client_id, path, sentence"):
        common_voice.read(corpus)


def test_another_release_is_refused(corpus: Path, monkeypatch: pytest.MonkeyPatch):
    other = corpus.rename(corpus.with_name("cv-corpus-17.0-2024-03-15"))
    with pytest.raises(
        UserError, match=r"en is release 17 of Common Voice; expected 15, which the published table is of"
    ):
        common_voice.read(other)
    monkeypatch.chdir(other / "fr")
    with pytest.raises(UserError, match="is release 17 of Common Voice"):
        common_voice.read(Path())


def test_a_folder_without_a_published_locale_is_refused(corpus: Path):
    for folder in (corpus / "de", corpus / "gone"):
        with pytest.raises(
            UserError, match=r"no Common Voice under .*; expected LOCALE/test.tsv and LOCALE/clips/\*.mp3"
        ):
            common_voice.read(folder)
