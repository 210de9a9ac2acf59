"""The strict mode counts what a reader sees."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.evaluate.normalise import Official, Strict
from auricle.evaluate.normalise.strict import Convention
from auricle.evaluate.sample import Sample, Task

WRITTEN = Convention(case=True, punctuation=True)
BARE = Convention(case=False, punctuation=False)
LABELS = ("Laughter", "Throat clearing", "Sigh")


def sample(reference: str, language: str | None = "en", task: Task = "asr", source: str = "made") -> Sample:
    labels = LABELS if task == "vocal_sound" else ()
    return Sample("1", "made", source, task, Path("made.wav"), "", reference, language=language, labels=labels)


def cut(text: str, language: str = "en", convention: Convention = WRITTEN) -> list[str]:
    return list(Strict({"made": convention}).words(sample("", language), text).answer)


@pytest.mark.parametrize(
    ("text", "language", "units"),
    [
        ("Hello, world!", "en", "Hello , world !"),
        ("I don't know, y'all.", "en", "I don't know , y'all ."),
        ("I don’t “know”", "en", 'I don\'t " know "'),  # curly marks are straight ones
        ("the boys' 'tis", "en", "the boys ' ' tis"),  # only between letters does an apostrophe belong to a word
        ("well-known", "en", "well - known"),
        ("$5, 50% at 10:30", "en", "$ 5 , 50 % at 10:30"),
        ("1,000.50 a.m.", "en", "1,000.50 a . m ."),  # a point belongs to a number, not to an abbreviation
        ("5.", "en", "5 ."),
        ("[laughter] um (hmm)", "en", "[ laughter ] um ( hmm )"),
        ("<|en|>Hello", "en", "Hello"),
        (" \n<|en|> Hello", "en", "Hello"),
        ("<|fr|>Hello", "en", "<|fr|> Hello"),  # not the tag that the prompt gave: a wrong word
        ("Hello<|en|>there", "en", "Hello <|en|> there"),  # nor at the front
        ("l'homme", "fr", "l'homme"),
        ("e\u0301te\u0301", "fr", "été"),
        ("हिन्दी है", "hi", "हिन्दी है"),  # vowel signs are marks, and part of their words
        ("За\u0301мок", "ru", "За\u0301мок"),
        ("我有3.5个iPhone，很好。", "zh", "我 有 3.5 个 iPhone ， 很 好 。"),
        ("我說話", "zh", "我 说 话"),  # the script that was not asked for
        ("滑鼠", "zh", "滑 鼠"),  # but the word stays another word than 鼠标
        ("我說話", "yue", "我 说 话"),
        ("説話です", "ja", "説 話 で す"),
        ("ที่นี่ OK", "th", "ท ี ่ น ี ่ OK"),
        ("你好 Привет ἀρχή", "zh", "你 好 Привет ἀρχή"),
        ("한국어", "zh", "한 국 어"),
    ],
)
def test_units(text: str, language: str, units: str):
    assert cut(text, language) == units.split(" ")


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Hello, WORLD!", "hello world"),
        ("well-known", "well known"),
        ("“Don’t”", "don't"),
        ("5% & $3 @ #1", "5 % & $ 3 @ # 1"),  # they are spoken
        ("10,000", "10,000"),
        ("STRASSE Straße", "strasse straße"),
    ],
)
def test_where_neither_case_nor_punctuation_counts(text: str, units: str):
    assert cut(text, convention=BARE) == units.split(" ")


def test_case_and_punctuation_count_each_for_itself():
    assert cut("Hello, you", convention=Convention(case=True, punctuation=False)) == ["Hello", "you"]
    assert cut("Hello, you", convention=Convention(case=False, punctuation=True)) == ["hello", ",", "you"]


@pytest.mark.parametrize(
    ("references", "case", "punctuation"),
    [
        (["YES, SIR", "NO."] + ["THE APOSTLE"] * 18, False, True),
        (["YES, SIR", "NO."] + ["THE APOSTLE"] * 19, False, False),  # fewer than a tenth
        (["MISTER QUILTER'S HOUSE", "'TIS THE BOYS'"], False, False),  # apostrophes are spelling
        (["Hello there."], True, True),
        (["hello there"], False, False),
        (["Hello there"] + ["hello there"] * 9, True, False),
        (["Hello there"] + ["hello there"] * 10, False, False),
        (["我用WIFI，好"], False, True),
        (["5% & $3"], False, False),  # spoken signs are words
        ([], False, False),
    ],
)
def test_a_convention_is_what_a_tenth_of_the_references_show(references: list[str], case: bool, punctuation: bool):
    assert Convention.of(references) == Convention(case=case, punctuation=punctuation)


def test_every_source_has_its_own_convention_and_a_sentence_that_says_so():
    bare, written = sample("MISTER QUILTER", source="bare"), sample("Mister Quilter.", source="written")
    other = sample("Sir?", source="other")
    strict = Strict.for_samples([bare, written, other, sample("Guten Tag.", task="translation", source="translated")])
    answer = "Mister Quilter."
    assert strict.words(bare, answer).answer == strict.words(bare, answer).reference == ("mister", "quilter")
    assert strict.words(written, answer).answer == ("Mister", "Quilter", ".")
    assert strict.reasons[-2:] == (
        "Neither case nor punctuation counts in bare.",
        "Case and punctuation count in other, written.",
    )


def test_the_tag_of_the_prompt_is_no_punctuation_of_the_source():
    tagged = sample("<|en|>HELLO")
    assert Strict.for_samples([tagged]).words(tagged, "hello").reference == ("hello",)


@pytest.mark.parametrize(
    ("reference", "answer", "forgiven"),
    [
        ("Twenty five.", "25.", True),
        ("I won't.", "I will not.", True),
        ("Dr. Who.", "Doctor Who.", True),
        ("The colour.", "The color.", True),
        ("Yes.", "Um, yes.", True),
        ("Yes.", "Yes. [laughter]", True),
        ("Yes, sir.", "yes sir", True),
        ("Ten dollars.", "10.", True),
        ("Yes.", "No.", False),
        ("Yes, sir.", "Yes, sir.", False),  # the control: nothing to forgive
    ],
)
def test_what_official_forgives_and_a_reader_would_not(reference: str, answer: str, forgiven: bool):
    one = sample(reference)
    official, strict = Official().words(one, answer), Strict.for_samples([one]).words(one, answer)
    assert (official.reference == official.answer and strict.reference != strict.answer) == forgiven


@given(st.text(), st.sampled_from(["en", "zh", "th", None]))
def test_nothing_but_white_space_and_a_leading_tag_is_lost(text: str, language: str | None):
    one = Strict({"made": WRITTEN}).words(sample(text, language), "").reference
    kept = "".join(one)
    assert all(unit and not any(map(str.isspace, unit)) for unit in one if not unit.startswith("<|"))
    if language != "zh":  # which is converted
        straight = str.maketrans("‘’‛“”„", "'''\"\"\"")
        plain = unicodedata.normalize("NFC", text.lstrip().removeprefix(f"<|{language}|>")).translate(straight)
        assert "".join(kept.split()) == "".join(plain.split())


def test_translations_lose_tags_and_surrounding_white_space_only():
    strict = Strict({})
    one = sample(" Guten Tag,  Welt! ", "en", "translation")
    assert strict.translation(one, "<|de|> Gru\u0308n\n") == ("Guten Tag,  Welt!", "Grün")


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("Laughter", "Laughter"),
        (" laughter.\n", "Laughter"),
        ("“THROAT CLEARING”", "Throat clearing"),
        ("Throat  clearing", None),
        ("Throat-clearing", None),
        ("I hear laughter", None),
        ("Laughter, Sigh", None),
        ("Cough", None),
        ("", None),
        ("...", None),
    ],
)
def test_a_label_is_the_answer_but_for_case_and_edges(answer: str, label: str | None):
    assert Strict({}).label(sample("Sigh", task="vocal_sound"), answer) == label


def test_a_label_without_letters_is_never_found_in_an_empty_answer():
    assert Strict({}).label(sample("?", task="emotion"), "") is None
