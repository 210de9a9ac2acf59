"""CoVoST 2 in both of its layouts, made small: tables beside Common Voice 4."""

import logging
from pathlib import Path

import pytest

from auricle.errors import UserError
from auricle.evaluate.datasets import covost2
from auricle.evaluate.published import ROWS
from auricle.evaluate.rows import rows_for


def clips(folder: Path, locale: str, *numbers: int) -> None:
    """Common Voice 4 of a language: clips, and whose voice each validated one is."""
    (folder / locale / "clips").mkdir(parents=True)
    lines = ["client_id\tpath\tsentence\tup_votes"]
    for number in numbers:
        name = f"common_voice_{locale}_{number}.mp3"
        (folder / locale / "clips" / name).write_bytes(b"mp3")
        lines.append(f'speaker{number % 2}\t{name}\tShe said "so".\t2')
    (folder / locale / "validated.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def table(folder: Path, direction: str, rows: list[tuple[int, str, str]], locale: str) -> None:
    """As it is downloaded: path, translation, split."""
    lines = [
        "path\ttranslation\tsplit",
        *(f"common_voice_{locale}_{n}.mp3\t{text}\t{split}" for n, text, split in rows),
    ]
    (folder / f"covost_v2.{direction}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clips(tmp_path, "en", 1, 2, 3, 4)
    clips(tmp_path, "zh-CN", 6, 7)
    rows = [
        (1, "你好。", "dev"),
        (2, "“是”。", "test"),
        (3, "再见。", "test"),
        (4, "不。", "train"),
        (9, "没。", "test"),
    ]
    table(tmp_path, "en_zh-CN", rows, "en")
    table(tmp_path, "zh-CN_en", [(6, "No.", "dev"), (7, 'A \\"quoted\\" word.', "test")], "zh-CN")
    return tmp_path


def test_the_tables_as_they_are_downloaded(folder: Path):
    """Only validated clips (9 is not), only dev and test (4 is not)."""
    samples = covost2.read(folder)
    assert [(s.source, s.id, s.reference) for s in samples] == [
        ("covost2_en_zh_dev", "common_voice_en_1", "你好。"),
        ("covost2_en_zh_test", "common_voice_en_2", "“是”。"),
        ("covost2_en_zh_test", "common_voice_en_3", "再见。"),
        ("covost2_zh_en_dev", "common_voice_zh-CN_6", "No."),
        ("covost2_zh_en_test", "common_voice_zh-CN_7", 'A "quoted" word.'),
    ]
    first, *_, last = samples
    assert (first.dataset, first.task, first.language, first.target_language) == ("covost2", "translation", "en", "zh")
    assert first.prompt == "Detect the language and translate the speech into Mandarin: <|en|>"
    assert last.prompt == "Detect the language and translate the speech into English: <|zh|>"
    assert (first.speaker, samples[1].speaker) == ("speaker1", "speaker0")
    assert all(sample.audio.is_file() for sample in samples)
    assert last.audio == folder / "zh-CN" / "clips" / "common_voice_zh-CN_7.mp3"


def test_the_tables_that_its_own_script_splits_come_first(folder: Path):
    lines = ["path\tsentence\ttranslation\tclient_id", "common_voice_en_4.mp3\tNo.\t否。\tsomeone"]
    (folder / "covost_v2.en_zh-CN.test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    samples = [sample for sample in covost2.read(folder) if sample.source == "covost2_en_zh_test"]
    assert [(s.id, s.reference, s.speaker) for s in samples] == [("common_voice_en_4", "否。", "someone")]


def test_a_quote_that_never_closes_and_a_client_without_a_name(folder: Path):
    """Fields are not quoted: the rows that follow are rows."""
    rows = [(1, ' "Eins, ', "dev"), (2, '"Zwei', "test"), (3, "Drei", "test")]
    table(folder, "en_de", rows, "en")
    found = [sample for sample in covost2.read(folder) if sample.target_language == "de"]
    assert [sample.reference for sample in found] == ['"Eins,', '"Zwei', "Drei"]
    lines = ["path\tsentence\ttranslation\tclient_id", "common_voice_en_4.mp3\tNo.\tNein.\t"]
    (folder / "covost_v2.en_de.test.tsv").write_text("\n".join(lines) + "\n")
    assert [sample.speaker for sample in covost2.read(folder) if sample.source == "covost2_en_de_test"] == [None]


def test_a_folder_above_is_enough(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    above = tmp_path_factory.mktemp("above")
    (above / "data").mkdir()
    (above / "data" / "covost").symlink_to(folder)
    assert [s.id for s in covost2.read(above)] == [s.id for s in covost2.read(folder)]


def test_directions_and_splits_are_those_of_the_published_rows(tmp_path: Path):
    for locale in ("en", "de", "zh-CN", "es", "fr", "it"):
        clips(tmp_path, locale, 1, 2)
    for direction in covost2.DIRECTIONS:
        name, locale = covost2.table_name(*direction), {"zh": "zh-CN"}.get(direction[0], direction[0])
        table(tmp_path, name.removeprefix("covost_v2."), [(1, "eins", "dev"), (2, "zwei", "test")], locale)
    samples = covost2.read(tmp_path)
    published = [row for row in ROWS if row.dataset == "covost2"]
    assert rows_for(samples) == published
    assert {sample.source for sample in samples} == {source for row in published for source in row.sources}


def test_a_language_without_clips_is_left_out_and_named(folder: Path, caplog: pytest.LogCaptureFixture):
    table(folder, "de_en", [(1, "One.", "test")], "de")
    with caplog.at_level(logging.WARNING):
        assert {sample.language for sample in covost2.read(folder)} == {"en", "zh"}
    assert caplog.messages == ["left out translations from de: there are no clips LANGUAGE/clips/*.mp3"]


def test_what_is_not_there(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(
        UserError, match=r"no CoVoST 2 under .*; expected covost_v2\.en_de\.tsv or .*data download covost2"
    ):
        covost2.read(empty)
    table(empty, "en_de", [(1, "Eins.", "test")], "en")
    with pytest.raises(
        UserError, match=r"no clips of Common Voice 4 under .*; expected LANGUAGE/clips/\*\.mp3 .*of en$"
    ):
        covost2.read(empty)
    (folder / "en" / "clips" / "common_voice_en_3.mp3").unlink()
    with pytest.raises(UserError, match="1 of 2 transcripts have no recording, such as common_voice_en_3"):
        covost2.read(folder)
    (folder / "en" / "validated.tsv").write_text("client_id\tpath\nsomeone\tanother_release.mp3\n")
    with pytest.raises(
        UserError, match=r"no dev clip of \S+en_zh-CN\.tsv is among those beside \S+; expected release 4"
    ):
        covost2.read(folder)
    (folder / "en" / "validated.tsv").unlink()
    with pytest.raises(UserError, match=r"validated\.tsv is not there; unpack the whole archive of Common Voice 4"):
        covost2.read(folder)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path\ttranslation\n", r"lacks the column split; expected a header with path, translation, split"),
        ("", "lacks the column path, translation, split"),
        (
            "path\ttranslation\tsplit\na.mp3\tone\n",
            r"tsv:2 has not as many fields as its header; unpack or download it",
        ),
        ("path\ttranslation\tsplit\na.mp3\tone\ttest\tmore\n", "has not as many fields as its header"),
    ],
)
def test_a_damaged_table(folder: Path, text: str, sentence: str):
    (folder / "covost_v2.en_zh-CN.tsv").write_text(text)
    with pytest.raises(UserError, match=sentence):
        covost2.read(folder)


def test_a_table_in_another_encoding(folder: Path):
    (folder / "covost_v2.en_zh-CN.tsv").write_bytes("path\ttranslation\tsplit\na\tüb\ttest".encode("latin-1"))
    with pytest.raises(UserError, match="is not UTF-8"):
        covost2.read(folder)
