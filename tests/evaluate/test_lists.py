"""Official lists as they are published, and our own: read, and completed by names."""

import json
import os
import string
from collections.abc import Callable
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from auricle.errors import UserError
from auricle.evaluate.lists import read_samples, write_samples
from auricle.evaluate.prompts import EMOTION, VOCAL_SOUND, recognise, translate
from auricle.evaluate.published import ROWS
from auricle.evaluate.sample import Sample

PLACE = "<|audio_bos|><|AUDIO|><|audio_eos|>"
Lines = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Lines:
    """A list of the given name from its lines."""

    def make(name: str, *lines: dict | str) -> Path:
        path = tmp_path / name
        path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
        return path

    return make


def official(audio: str, source: str, prompt: str = recognise("en"), gt: str = "YES") -> dict:
    return {"audio": audio, "source": source, "prompt": prompt, "gt": gt}


def test_an_official_line_is_a_sample(write: Lines):
    path = write(
        "librispeech_eval.jsonl", official("/nas/dev-clean/1272/128104/1272-128104-0000.flac", "librispeech_dev_clean")
    )
    assert read_samples(path) == [
        Sample(
            id="1272-128104-0000",
            dataset="librispeech",
            source="librispeech_dev_clean",
            task="asr",
            audio=Path("/nas/dev-clean/1272/128104/1272-128104-0000.flac"),
            prompt="Detect the language and recognize the speech: <|en|>",
            reference="YES",
            language="en",
            speaker="1272",
        )
    ]


# The list's file, its source, the question, the recording; then what they tell: data set, source, task, language,
# target language and speaker. How the official lists spell their sources is not published: several are tried.
OFFICIAL = [
    (
        ("librispeech_eval", "librispeech_test_other", recognise("en"), "x/1688-142285-0000.flac"),
        ("librispeech", "librispeech_test_other", "asr", "en", None, "1688"),
    ),
    (
        ("librispeech_eval", "LibriSpeech-Dev-Clean", recognise("en"), "a.flac"),
        ("librispeech", "librispeech_dev_clean", "asr", "en", None, None),
    ),
    (
        ("librispeech_eval", "libri", recognise("en"), "/d/LibriSpeech/test-clean/1089/134686/1089-134686-0000.flac"),
        ("librispeech", "librispeech_test_clean", "asr", "en", None, "1089"),
    ),
    (
        ("librispeech_eval", "libri", recognise("en"), "/test/books/other/1089-134686-0000.flac"),
        ("librispeech", "libri", "asr", "en", None, "1089"),
    ),  # a folder test says too little
    (
        ("cv15_asr_en_eval", "common_voice_15_en", recognise("en"), "common_voice_en_1.mp3"),
        ("common_voice_15", "common_voice_15_en", "asr", "en", None, None),
    ),
    (
        ("cv15_asr_zh_eval", "CV15 zh-CN test", recognise("zh"), "common_voice_zh-CN_1.mp3"),
        ("common_voice_15", "common_voice_15_zh", "asr", "zh", None, None),
    ),
    (
        ("cv15_asr_yue_eval", "commonvoice", recognise("zh"), "common_voice_zh-HK_1.mp3"),
        ("common_voice_15", "common_voice_15_yue", "asr", "yue", None, None),
    ),  # scored as Cantonese, as there
    (
        ("mine", "CommonVoice zh-HK", recognise("zh"), "1.mp3"),
        ("common_voice_15", "common_voice_15_yue", "asr", "yue", None, None),
    ),
    (
        ("cv15_asr_fr_eval", "cv15_fr", recognise("fr"), "common_voice_fr_1.mp3"),
        ("common_voice_15", "common_voice_15_fr", "asr", "fr", None, None),
    ),
    (
        ("fleurs_asr_zh_eval", "fleurs_test_zh", recognise("zh"), "1.wav"),
        ("fleurs", "fleurs_zh", "asr", "zh", None, None),
    ),
    (("mine", "fluers_cmn_hans_cn", recognise("zh"), "1.wav"), ("fleurs", "fleurs_zh", "asr", "zh", None, None)),
    (
        ("aishell2_eval", "aishell2_test_iOS", recognise("zh"), "iOS/test/wav/T0011/IT0011W0001.wav"),
        ("aishell2", "aishell2_ios", "asr", "zh", None, "T0011"),
    ),
    (
        ("aishell2_eval", "aishell2", recognise("zh"), "/d/Mic/test/wav/T0011/MT0011W0001.wav"),
        ("aishell2", "aishell2_mic", "asr", "zh", None, "T0011"),
    ),
    (
        ("covost2_eval", "covost2_en_zh_test", translate("en", "zh"), "common_voice_en_1.mp3"),
        ("covost2", "covost2_en_zh_test", "translation", "en", "zh", None),
    ),
    (
        ("covost2_eval", "CoVoST2_zh-CN_en_dev", translate("zh", "en"), "common_voice_zh-CN_1.mp3"),
        ("covost2", "covost2_zh_en_dev", "translation", "zh", "en", None),
    ),
    (
        ("covost2_eval", "st_it_en_valid", translate("it", "en"), "common_voice_it_1.mp3"),
        ("covost2", "covost2_it_en_dev", "translation", "it", "en", None),
    ),
    (
        ("covost2_eval", "covost2_es_en", translate("es", "en"), "1.mp3"),
        ("covost2", "covost2_es_en", "translation", "es", "en", None),
    ),
    (
        ("covost2_eval", "pooled", translate("de", "en"), "1.mp3"),
        ("covost2", "pooled", "translation", "de", "en", None),
    ),
    (
        ("meld_eval", "meld_test", EMOTION, "dia3_utt2.mp4"),
        ("meld", "meld_test", "emotion", "en", None, "meld_test dialogue 3"),
    ),
    (
        ("meld_eval", "MELD-validation", EMOTION, "dia3_utt2.mp4"),
        ("meld", "meld_dev", "emotion", "en", None, "meld_dev dialogue 3"),
    ),
    (
        ("vocalsound_eval", "vocalsound_valid", VOCAL_SOUND, "f0003_0_cough.wav"),
        ("vocalsound", "vocalsound_valid", "vocal_sound", None, None, "f0003"),
    ),
    (
        ("vocalsound_eval", "VocalSound_Test", VOCAL_SOUND, "m1203_0_sniff.wav"),
        ("vocalsound", "vocalsound_test", "vocal_sound", None, None, "m1203"),
    ),
    (
        ("vocalsound_eval", "vocalsound_test", VOCAL_SOUND, "album12_0_cough.wav"),
        ("vocalsound", "vocalsound_test", "vocal_sound", None, None, None),
    ),  # no name of VocalSound's
    (("mine", "my calls", recognise("de"), "1.wav"), ("my calls", "my calls", "asr", "de", None, None)),
    (("mine", "melded calls", recognise("de"), "1.wav"), ("melded calls", "melded calls", "asr", "de", None, None)),
    (("mine", "calls", translate("de", "en"), "1.wav"), ("calls", "calls", "translation", "de", "en", None)),
    (
        ("mine", "calls", translate("de", "en").replace("English", "Klingon"), "1.wav"),
        ("calls", "calls", "translation", "de", None, None),
    ),
    (
        ("mine", "CoVoST2 of common_voice_4 en_de_test", translate("en", "de"), "1.mp3"),
        ("covost2", "covost2_en_de_test", "translation", "en", "de", None),
    ),
    (
        ("covost2_eval", "common_voice_en_de_test", translate("en", "de"), "1.mp3"),
        ("covost2", "covost2_en_de_test", "translation", "en", "de", None),
    ),
    (
        ("cv15_asr_en_eval", "common_voice_15_fr", recognise("fr"), "1.mp3"),
        ("common_voice_15", "common_voice_15_fr", "asr", "fr", None, None),
    ),  # the line knows better than the name of its list
    (
        ("meld_eval", "meld dev+test", EMOTION, "dia3_utt2.mp4"),
        ("meld", "meld dev+test", "emotion", "en", None, "meld dev+test dialogue 3"),
    ),
    (
        ("vocalsound_eval", "vocalsound_test", recognise("en"), "f0003_0_cough.wav"),
        ("vocalsound", "vocalsound_test", "asr", "en", None, "f0003"),
    ),  # as it asks, whatever the data set is for
]


@pytest.mark.parametrize(("line", "expected"), OFFICIAL)
def test_names_tell_data_set_source_task_language_and_speaker(write: Lines, line: tuple, expected: tuple):
    name, source, prompt, audio = line
    [sample] = read_samples(write(f"{name}.jsonl", official(audio, source, prompt)))
    told = (sample.dataset, sample.source, sample.task, sample.language, sample.target_language, sample.speaker)
    assert told == expected
    assert (sample.prompt, sample.reference) == (prompt, "YES")


def test_every_published_source_is_recognised_as_itself(write: Lines):
    files = {"common_voice_15": "cv15_asr_{}_eval", "fleurs": "fleurs_asr_{}_eval"}
    for row in ROWS:
        if row.dataset == "airbench":
            continue
        for source in row.sources:
            name = files.get(row.dataset, f"{row.dataset}_eval").format(source.rpartition("_")[2])
            [sample] = read_samples(write(f"{name}.jsonl", official("1.wav", source.upper(), "?")))
            assert (sample.dataset, sample.source) == (row.dataset, source)


def test_a_data_set_may_be_given_for_a_list_of_another_name(write: Lines):
    path = write("list.jsonl", official("1.flac", "test-clean", "Write it down:"))
    with pytest.raises(UserError, match=r"list.jsonl:1 does not tell its task; give the data set, or add `task`"):
        read_samples(path)
    [sample] = read_samples(path, dataset="librispeech")
    assert (sample.source, sample.task, sample.language) == ("librispeech_test_clean", "asr", "en")


def test_what_a_line_says_goes_before_what_names_tell(write: Lines):
    said = {"language": "fr", "target_language": "de", "speaker": "Ann"}
    path = write("covost2_eval.jsonl", official("1.mp3", "covost2_en_zh_test", translate("en", "zh")) | said)
    [sample] = read_samples(path)
    assert (sample.language, sample.target_language, sample.speaker) == ("fr", "de", "Ann")
    path = write("librispeech_eval.jsonl", official("1-2-3.flac", "librispeech_dev_clean") | {"speaker": "Ann"})
    assert read_samples(path)[0].speaker == "Ann"
    path = write("list.jsonl", official("1.flac", "calls") | {"dataset": "mine"})
    assert read_samples(path, dataset="librispeech")[0].dataset == "mine"


def test_a_query_is_a_chat_in_a_list_of_any_name(write: Lines):
    [sample] = read_samples(write("mine.jsonl", {"id": 1, "audio": "1.wav", "query": f"{PLACE}Who?", "gt": "Ann"}))
    assert (sample.task, sample.prompt, sample.reference) == ("chat", "Who?", "Ann")


def test_lines_of_one_dialogue_are_known_as_such(write: Lines):
    lines = [official(f"{name}.mp4", "meld_test", EMOTION) for name in ("dia3_utt0", "dia3_utt1", "dia4_utt0")]
    first, second, other = read_samples(write("meld_eval.jsonl", *lines))
    assert first.speaker == second.speaker != other.speaker
    [dev] = read_samples(write("meld_eval.jsonl", official("dia3_utt0.mp4", "meld_dev", EMOTION)))
    assert dev.speaker != first.speaker  # dialogue 3 of the other split is another


def test_a_closed_list_holds_every_right_answer_of_the_data_set(write: Lines):
    lines = [official(f"{i}.mp4", source, EMOTION, gt) for i, (source, gt) in enumerate(
        [("meld_test", "joy"), ("meld_test", "anger"), ("meld_dev", "joy"), ("meld_dev", "sadness")]
    )]  # fmt: skip
    assert {sample.labels for sample in read_samples(write("meld_eval.jsonl", *lines))} == {("anger", "joy", "sadness")}
    [sample] = read_samples(write("meld_eval.jsonl", lines[0] | {"labels": ["joy", "fear"]}))
    assert sample.labels == ("joy", "fear")
    [sample] = read_samples(write("librispeech_eval.jsonl", official("1.flac", "librispeech_dev_clean")))
    assert sample.labels == ()


@pytest.mark.parametrize("name", ["airbench_level_3_eval", "airbench-level-3"])
@pytest.mark.parametrize(
    "query", [f"Audio 1: {PLACE}\nWho speaks?", f"{PLACE}Who speaks?", f"Who speaks?\n{PLACE}", "Who speaks?"]
)
def test_a_chat_asks_its_question_without_the_place_of_the_recording(write: Lines, name: str, query: str):
    audio = "/d/Chat/speech_dialogue_QA_fisher/a.wav"
    [sample] = read_samples(write(f"{name}.jsonl", {"id": 17, "audio": audio, "query": query}))
    assert sample == Sample(
        "17", "airbench", "speech_dialogue_QA", "chat", Path(audio), "Who speaks?", reference=""
    )  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("speech_and_sound_QA_x", "speech_and_sound_QA"),
        ("sound_QA_clotho", "sound_QA"),
        ("music_generation_analysis_QA_x", "music_generation_analysis_QA"),
        ("elsewhere", "airbench"),
    ],
)
def test_the_task_of_a_chat_stands_in_its_folder(write: Lines, folder: str, source: str):
    [sample] = read_samples(write("airbench-level-3.jsonl", {"id": 1, "audio": f"{folder}/1.wav", "query": "?"}))
    assert sample.source == source


def test_ids_become_unique_within_a_source(write: Lines):
    audios = ["a/1.wav", "b/1.wav", "1#2.wav", "c/1.wav"]
    samples = read_samples(write("x.jsonl", *(official(audio, "s") for audio in audios), official("1.wav", "other")))
    assert [sample.id for sample in samples] == ["1", "1#3", "1#2", "1#4", "1"]


TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
NAMES = st.text(string.ascii_letters + "é声 -_.", min_size=1)
SAMPLES = st.builds(
    Sample,
    id=TEXT.filter(bool),
    dataset=TEXT,
    source=TEXT,
    task=st.sampled_from(["asr", "translation", "emotion", "vocal_sound", "sound", "chat"]),
    audio=st.lists(NAMES, min_size=1).map(lambda parts: Path(*parts)),
    prompt=TEXT,
    reference=TEXT,
    language=st.none() | st.sampled_from(["en", "yue"]),
    target_language=st.none() | st.just("zh"),
    speaker=st.none() | TEXT.filter(bool),
    duration_s=st.none() | st.floats(0, 1e6),
    labels=st.lists(TEXT).map(tuple),
    details=st.dictionaries(TEXT, TEXT).map(lambda details: tuple(details.items())),
)


@hypothesis.given(st.lists(SAMPLES, min_size=1, unique_by=lambda sample: (sample.source, sample.id)))
def test_what_is_written_is_read_back_equal(tmp_path_factory: pytest.TempPathFactory, samples: list[Sample]):
    path = tmp_path_factory.mktemp("lists") / "meld_eval.jsonl"  # a name that would tell another data set
    write_samples(samples, path)
    assert read_samples(path) == samples


def test_scripts_for_the_official_lists_read_ours(tmp_path: Path):
    asr = Sample("1", "librispeech", "librispeech_dev_clean", "asr", Path("/d/1.flac"), recognise("en"), "声")
    chat = Sample("2", "airbench", "speech_QA", "chat", Path("/d/2.wav"), "Who?", "Ann")
    write_samples([asr, chat], tmp_path / "list.jsonl")
    first, second = map(json.loads, (tmp_path / "list.jsonl").read_text(encoding="utf-8").splitlines())
    assert list(first)[:4] == ["audio", "source", "prompt", "gt"]
    assert [first[key] for key in ("audio", "source", "prompt", "gt")] == [
        "/d/1.flac", "librispeech_dev_clean", recognise("en"), "声"
    ]  # fmt: skip
    assert second["query"].count("<|AUDIO|>") == 1
    assert second["query"].endswith("Who?")
    assert "声" in (tmp_path / "list.jsonl").read_text(encoding="utf-8")  # readable without a tool


def test_a_path_that_is_no_text_is_written_too(tmp_path: Path):
    sample = Sample("1", "x", "x", "asr", Path(os.fsdecode(b"/d/caf\xe9.wav")), "?", "声")
    write_samples([sample], tmp_path / "list.jsonl")
    assert read_samples(tmp_path / "list.jsonl") == [sample]


def test_a_list_is_written_whole_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "list.jsonl"
    sample = Sample("1", "x", "x", "asr", Path("1.wav"), "?", "yes")
    write_samples([sample], path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"cannot write the list .*: No space left on device; make room"):
        write_samples([sample, sample], path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["list.jsonl"]
    with pytest.raises(UserError, match=r"cannot write the list .*list.jsonl/below.jsonl: "):
        write_samples([sample], path / "below.jsonl")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "list.jsonl:2 is no JSON object; expected `audio`, `source`, `prompt` and `gt`"),
        ("[]", "list.jsonl:2 is no JSON object"),
        ({"source": "s", "prompt": "p", "gt": "g"}, "list.jsonl:2: `audio` is missing; expected text, as in the off"),
        ({"audio": "", "source": "s", "prompt": "p", "gt": "g"}, 'list.jsonl:2: `audio` is ""; expected text'),
        ({"audio": "1.wav", "prompt": "p", "gt": "g"}, "list.jsonl:2: `source` is missing"),
        ({"audio": "1.wav", "source": "s", "gt": "g"}, "list.jsonl:2: `prompt` is missing"),
        ({"audio": "1.wav", "source": "s", "prompt": recognise("en")}, "list.jsonl:2: `gt` is missing"),
        pytest.param("[" * 100_000, "list.jsonl:2 is no JSON object", id="too deep"),
        (official("1.wav", "s") | {"id": ""}, 'list.jsonl:2: `id` is ""; expected text or a whole number'),
        (official("1.wav", "s") | {"duration_s": True}, "list.jsonl:2: `duration_s` is true; expected seconds"),
        (official("1.wav", "s") | {"duration_s": float("inf")}, "list.jsonl:2: `duration_s` is .*; expected seconds"),
        (official("1.wav", "s") | {"labels": ["joy", 1]}, r"list.jsonl:2: `labels` is .*; expected a list of texts"),
        (official("1.wav", "s") | {"details": {"x": 1}}, r"list.jsonl:2: `details` is .*; expected an object of texts"),
        (official("1.wav", "s") | {"gt": 3}, "list.jsonl:2: `gt` is 3; expected text"),
        (official("1.wav", "s") | {"id": True}, "list.jsonl:2: `id` is true; expected text or a whole number"),
        (official("1.wav", "s") | {"task": "sing"}, 'list.jsonl:2: `task` is "sing"; expected one of asr, trans'),
        (official("1.wav", "s") | {"duration_s": -1}, "list.jsonl:2: `duration_s` is -1; expected seconds"),
        (official("1.wav", "s") | {"labels": "joy"}, 'list.jsonl:2: `labels` is "joy"; expected a list of texts'),
        (official("1.wav", "s") | {"details": ["x"]}, r"list.jsonl:2: `details` is .*; expected an object of texts"),
        (
            {"id": 1, "audio": "1.wav", "query": f"Compare {PLACE} and {PLACE}"},
            "list.jsonl:2 asks about several recordings; expected one place for one recording in `query`",
        ),
    ],
)
def test_a_bad_line_is_named(write: Lines, line: dict | str, sentence: str):
    with pytest.raises(UserError, match=sentence):
        read_samples(write("list.jsonl", official("1.wav", "s"), line))


def test_a_list_that_is_none_is_named(tmp_path: Path, write: Lines):
    with pytest.raises(UserError, match=r"cannot read .*gone.jsonl: No such file"):
        read_samples(tmp_path / "gone.jsonl")
    with pytest.raises(UserError, match=r"the list .*empty.jsonl holds no line; expected one sample on each"):
        read_samples(write("empty.jsonl", "", "  "))
    (tmp_path / "latin.jsonl").write_bytes(b'{"audio": "\xe9"}\n')
    with pytest.raises(UserError, match=r"latin.jsonl: byte 11 is not UTF-8"):
        read_samples(tmp_path / "latin.jsonl")
