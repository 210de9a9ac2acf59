"""Stage 1's prompts: the bank that ships, what a bad one is told, and what is drawn from it."""

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from auricle import assistant
from auricle.assistant import recognise
from auricle.conversation import Audio, RawPrompt
from auricle.data import Dialogue, Example, Labelled, Recording
from auricle.data.prompts import MAX_SHOTS, MAX_SHOTS_S, MIN_WORDINGS, Bank, pretrain_make, read_bank
from auricle.data.source import Make, Source
from auricle.data.tasks import TASKS
from auricle.errors import UserError
from auricle.prepare import render_raw
from auricle.text import Tokenizer

SHIPPED = Path(assistant.__file__).parents[1] / "assets" / "prompts.yaml"
DRAWS = 4000


def labelled(number: int = 0, **changed: object) -> Labelled:
    record = Labelled(
        f"m.jsonl:{number}", f"id{number}", "libri", (Recording(Path(f"{number}.wav"), duration_s=4.0),), "asr",
        f"words number {number}", "en",
    )  # fmt: skip
    return replace(record, **changed)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return read_bank()


def draws(make: Make, record: Labelled, num: int = DRAWS) -> list[Example]:
    return [make(record, np.random.default_rng((1, number)))[0] for number in range(num)]


def question(example: Example) -> str:
    assert isinstance(example.prompt, RawPrompt)
    assert isinstance(example.prompt.content[-1], str)
    return example.prompt.content[-1]


def near(count: int, share: float, num: int = DRAWS) -> bool:
    """Within 5 standard deviations of a binomial: one false alarm in 1.7 million."""
    return abs(count - num * share) <= 5 * math.sqrt(num * share * (1 - share))


def test_every_task_has_enough_wordings_and_none_twice(bank: Bank):
    assert set(bank) == {task.name for task in TASKS} - {"voice_chat"}
    texts = [text for wordings in bank.values() for text in (*wordings.prompts, *wordings.instructions)]
    plain = [re.sub(r"\W+", " ", text).strip().lower() for text in texts]
    assert len(set(plain)) == len(plain)
    assert all(min(len(w.prompts), len(w.instructions)) >= MIN_WORDINGS for w in bank.values())


@pytest.mark.parametrize(
    ("task", "wording"),
    [
        ("asr", "Detect the language and recognize the speech:"),
        ("translation", "Detect the language and translate the speech into {target}:"),
        ("emotion", "Recognize the emotion with keywords in English:"),
        ("vocal_sound", "Classify the human vocal sound to VocalSound in English:"),
        ("captioning", "Generate the caption in English:"),
    ],
)
def test_the_published_wordings_are_there_literally(bank: Bank, task: str, wording: str):
    assert bank[task].published == wording


def test_what_the_assistant_asks_is_what_was_learnt(bank: Bank):
    assert bank["asr"].published == recognise.RECOGNISE
    assert bank["translation"].published == recognise.TRANSLATE.replace("{}", "{target}")


def test_the_tag_ends_the_prompt_or_begins_the_answer(bank: Bank):
    found = Counter((question(e), e.answer) for e in draws(pretrain_make(bank), labelled(3)))
    given = found["Detect the language and recognize the speech: <|en|>", "words number 3"]
    asked = found["Detect the language and recognize the speech:", " <|en|>words number 3"]
    assert near(given, 0.25)
    assert near(asked, 0.25)
    for (text, answer), _ in found.items():
        wording = text.removesuffix(" <|en|>")
        if wording in (*bank["asr"].detect, bank["asr"].published):
            assert (text + str(answer)).endswith(f"{wording} <|en|>words number 3")
        else:
            assert wording in bank["asr"].plain
            assert (text, answer) == (wording, " words number 3")


def test_the_published_translation_prompt_letter_for_letter(bank: Bank):
    for code, name in (("en", "English"), ("de", "German"), ("zh", "Mandarin")):
        record = labelled(task="s2tt", language="fr", target="x", target_language=code)
        texts = {question(example) for example in draws(pretrain_make(bank), record, 200)}
        assert f"Detect the language and translate the speech into {name}: <|fr|>" in texts
        assert not any("{" in text for text in texts)
        assert {example.task for example in draws(pretrain_make(bank), record, 3)} == {"translation"}


def test_a_label_follows_a_space_and_the_published_wording_is_half(bank: Bank):
    examples = draws(pretrain_make(bank), labelled(task="emotion", target="joy"))
    assert {example.answer for example in examples} == {" joy"}
    counts = Counter(map(question, examples))
    assert set(counts) == set(bank["emotion"].prompts)
    assert near(counts["Recognize the emotion with keywords in English:"], 0.5)
    assert all(near(counts[text], 0.5 / len(bank["emotion"].plain)) for text in bank["emotion"].plain)


def test_without_a_language_no_tag_is_asked_for(bank: Bank):
    examples = draws(pretrain_make(bank), labelled(language=None), 300)
    assert {question(example) for example in examples} == set(bank["asr"].plain)
    assert not any("<|" in str(example.answer) for example in examples)


def test_silence_is_answered_by_nothing_but_its_language(bank: Bank):
    answers = {example.answer for example in draws(pretrain_make(bank), labelled(target=""), 200)}
    assert answers == {"", " <|en|>"}


def test_a_draw_depends_on_its_generator_alone(bank: Bank):
    sources = [Source("libri", [labelled(n) for n in range(20)], 1.0)]
    first, second = (pretrain_make(bank, few_shot=0.5, sources=sources) for _ in range(2))
    assert draws(first, labelled(3), 50) == draws(second, labelled(3), 50)
    assert len({question(e) for e in draws(first, labelled(3), 50)}) > 8


def test_several_recordings_stand_before_the_question(bank: Bank):
    two = (Recording(Path("a.wav")), Recording(Path("b.wav")))
    [example] = draws(pretrain_make(bank), labelled(task="speaker_identity", target="Anna", recordings=two), 1)
    assert example.prompt.content[:2] == (Audio(), Audio())
    assert example.recordings == two


def shots_of(example: Example) -> list[str]:
    return [part for part in example.prompt.content[:-1] if isinstance(part, str)]


def test_solved_examples_come_first_with_their_own_recordings(bank: Bank, tokenizer: Tokenizer):
    records = [
        *(labelled(n) for n in range(30)),
        *(labelled(n, source="other", target="other source") for n in range(30, 40)),
        *(labelled(n, language="de", target="anderes") for n in range(40, 50)),
        *(labelled(n, task="emotion", target="joy") for n in range(50, 60)),
        labelled(60, target="words number 3"),  # would give the answer away
        labelled(3, recordings=(Recording(Path("62.wav"), duration_s=4.0),), target="another take"),
        labelled(61, recordings=(Recording(Path("3.wav"), duration_s=4.0),), target="the same sound"),
    ]
    make = pretrain_make(bank, few_shot=1.0, sources=[Source("all", records, 1.0)])
    lengths = Counter()
    for example in draws(make, labelled(3), 400):
        shots = shots_of(example)
        lengths[len(shots)] += 1
        assert len(example.recordings) == len(shots) + 1
        assert example.recordings[-1] == labelled(3).recordings[0]
        wording = question(example).removesuffix(" <|en|>")
        for shot, recording in zip(shots, example.recordings, strict=False):
            number = int(recording.path.stem)
            assert number < 30
            assert number != 3
            assert shot.startswith(wording)
            assert shot.endswith(f"words number {number}\n")
            whole = question(example) + example.answer
            assert shot.strip() == whole.replace("number 3", f"number {number}")
    assert set(lengths) == set(range(1, MAX_SHOTS + 1))
    assert all(near(count, 1 / MAX_SHOTS, 400) for count in lengths.values())
    prompt = render_raw(example.prompt, [5] * len(example.recordings), tokenizer, answer=example.answer)
    learnt = [token for token, counts in zip(prompt.ids, prompt.loss, strict=True) if counts]
    assert tokenizer.decode(learnt) == example.answer  # of the solved ones nothing is learnt


def test_the_share_of_few_shot(bank: Bank):
    sources = [Source("libri", [labelled(n) for n in range(9)], 1.0)]
    make = pretrain_make(bank, few_shot=0.3, sources=sources)
    assert near(sum(bool(shots_of(e)) for e in draws(make, labelled(3))), 0.3)
    assert not any(shots_of(e) for e in draws(pretrain_make(bank, sources=sources), labelled(3), 100))
    assert not any(shots_of(e) for e in draws(make, labelled(3, source="alone"), 100))


def test_solved_examples_of_a_closed_task_may_have_the_same_label(bank: Bank):
    records = [labelled(n, task="emotion", target="joy") for n in range(5)]
    make = pretrain_make(bank, few_shot=1.0, sources=[Source("libri", records, 1.0)])
    assert all(shots_of(example) for example in draws(make, records[0], 50))


def test_solved_examples_stay_short(bank: Bank):
    long = [labelled(n, recordings=(Recording(Path(f"{n}.wav"), duration_s=25.0),)) for n in range(9)]
    unknown = [labelled(n, recordings=(Recording(Path(f"{n}.wav")),)) for n in range(9)]
    for records, most in ((long, 2), (unknown, 2)):
        make = pretrain_make(bank, few_shot=1.0, sources=[Source("libri", records, 1.0)])
        assert max(len(shots_of(example)) for example in draws(make, records[0], 100)) == most
    assert 2 * 25 < MAX_SHOTS_S < 3 * 25


def test_a_bad_line_among_the_sources_is_passed_over(bank: Bank):
    class Records(list):
        def __getitem__(self, place):
            if place == 2:
                raise UserError("bad")
            return super().__getitem__(place)

    make = pretrain_make(bank, few_shot=1.0, sources=[Source("libri", Records(labelled(n) for n in range(5)), 1.0)])
    used = {r.path.stem for e in draws(make, labelled(3), 100) for r in e.recordings}
    assert used == {"0", "1", "3", "4"}


def test_other_records_are_refused(bank: Bank):
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="d:1: stage 1 learns from labelled recordings; give this line to sft or dpo"):
        pretrain_make(bank)(Dialogue("d:1", "d", "s", (), ()), rng)
    with pytest.raises(UserError, match="voice_chat is no task of stage 1; give this line to sft"):
        pretrain_make(bank)(labelled(task="voice_chat"), rng)
    with pytest.raises(UserError, match=r"few_shot must lie in 0 to 1: got 1.5; it is the share"):
        pretrain_make(bank, few_shot=1.5)


def broken(tmp_path: Path, change: str) -> Path:
    contents = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    exec(change, {"bank": contents})
    path = tmp_path / "bank.yaml"
    path.write_text(yaml.safe_dump(contents), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("del bank['music']", "has no wordings for music; add them"),
        ("bank['musik'] = bank.pop('music')", "unknown task 'musik'"),
        ("bank['music']['promts'] = []", "expected some of published, detect, plain, instructions; rename the keys"),
        ("bank['music']['plain'] = 'Music:'", "expected a list of texts under each key; put quotes"),
        ("bank['music']['plain'][0] = 3", "expected a list of texts under each key; put quotes"),
        ("bank['music']['published'] = 3", "expected a list of texts under each key; put quotes"),
        ("bank['music']['plain'] = bank['music']['plain'][:7]", "7 prompts and 8 instructions, expected at least 8"),
        (
            "bank['music']['instructions'].pop()",
            "8 prompts and 7 instructions, expected at least 8 of each; write more",
        ),
        ("bank['music']['detect'] = ['Language first:']", "music in the prompt bank"),
        ("bank['music']['detect'] = ['Language first:']", "detects no language; move its wordings to plain"),
        ("bank['asr']['plain'] = []", "has no plain wording, which recordings of unknown language need"),
        (
            "bank['translation']['plain'][0] = 'Translate:'",
            "'Translate:' does not fit; expected text with {target} once",
        ),
        (
            "bank['asr']['plain'][0] = 'Into {target}:'",
            "does not fit; expected text without braces, no tags, no spaces",
        ),
        ("bank['asr']['plain'][0] = 'Speech <|en|>:'", "does not fit; expected text without braces"),
        ("bank['asr']['plain'][0] = 'Speech: '", "does not fit; expected text without braces"),
        (
            "bank['asr']['plain'][0] = 'describe the MUSIC'",
            "says the same twice: 'describe the MUSIC' and 'Describe the",
        ),
    ],
)
def test_a_bad_bank_says_what_is_wrong(tmp_path: Path, change: str, sentence: str):
    if "plain'] = []" in change:
        change += "; bank['asr']['detect'] += [f'Words {n}:' for n in range(5)]"
    with pytest.raises(UserError) as caught:
        read_bank(broken(tmp_path, change))
    assert sentence in str(caught.value)
    assert "bank.yaml" in str(caught.value) or "unknown task" in str(caught.value)


def test_the_shipped_bank_read_from_a_path_is_the_same(tmp_path: Path):
    assert read_bank(broken(tmp_path, "pass")) == read_bank()


@pytest.mark.parametrize("contents", ["a: [", "- asr", None])
def test_a_file_that_is_no_bank(tmp_path: Path, contents: str | None):
    path = tmp_path / "bank.yaml"
    if contents is not None:
        path.write_text(contents)
    expected = "is no mapping; expected task names" if contents == "- asr" else "cannot read the prompt bank"
    with pytest.raises(UserError, match=expected):
        read_bank(path)
