"""Acoustic confusions: pairs that give nothing away to one who does not hear, and manifests that come back."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.conversation import Audio, Message
from auricle.data import Labelled, Preference, Recording
from auricle.data.confusable import Confusable
from auricle.data.manifest import open_records
from auricle.data.preferences import (
    length_matched,
    misheard,
    plain,
    swaps,
    tones,
    with_recordings,
    write_preferences,
)
from auricle.errors import UserError
from auricle.text import Tokenizer


def words(text: str) -> int:
    return len(text.split())


def clip(number: int, text: str, language: str | None = "en", task: str = "asr") -> Labelled:
    return Labelled(f"m:{number}", f"c{number}", "s", (Recording(Path(f"{number}.wav")),), task, text, language)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's 3 PM, 你好!", "its 3 pm 你 好"),
        ("  Füße — naïve CAFÉ ", "füsse naïve café"),
        ("ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("don’t", "dont"),
        ("...", ""),
        ("さくら", "さ く ら"),
        ("नमस्ते", "नमस्ते"),
    ],
)
def test_plain(text: str, expected: str):
    assert plain(text) == expected


@given(text=st.text(max_size=30))
def test_plain_of_plain_is_plain(text: str):
    assert plain(plain(text)) == plain(text)


_TEXT = st.lists(st.sampled_from(("a", "b", "rain", "the", "fox", "A", "!")), max_size=8).map(" ".join)


@given(
    texts=st.lists(st.tuples(_TEXT, st.sampled_from(("en", "de", None)), st.sampled_from(("asr", "emotion")))),
    tolerance=st.sampled_from((0.0, 0.1, 0.5)),
    seed=st.integers(0, 3),
)
def test_swaps_are_mutual_matched_and_never_alike(
    texts: list[tuple[str, str | None, str]], tolerance: float, seed: int
):
    records = [clip(number, *fields) for number, fields in enumerate(texts)]
    pairs = swaps(records, words, np.random.default_rng(seed), tolerance=tolerance)
    by_recording = {record.recordings: record for record in records}
    assert Counter(pair.chosen for pair in pairs) == Counter(pair.rejected for pair in pairs)
    # without the sound the pairs are the same question with the answers exchanged
    asked = Counter((pair.messages, pair.chosen, pair.rejected) for pair in pairs)
    assert asked == Counter((pair.messages, pair.rejected, pair.chosen) for pair in pairs)
    assert max(Counter(pair.recordings for pair in pairs).values(), default=1) == 1
    for first, second in zip(pairs[0::2], pairs[1::2], strict=True):
        one, other = by_recording[first.recordings], by_recording[second.recordings]
        assert (first.chosen, first.rejected) == (one.target, other.target)
        assert (second.chosen, second.rejected) == (other.target, one.target)
        assert first.messages == second.messages
        assert (one.task, one.language) == (other.task, other.language) == ("asr", one.language)
        assert plain(first.chosen) != plain(first.rejected)
        assert abs(words(first.chosen) - words(first.rejected)) <= tolerance * max(
            words(one.target), words(other.target)
        )
        assert first.dimension == "factual"


def test_nearly_all_of_a_corpus_finds_a_partner(tokenizer: Tokenizer):
    rng = np.random.default_rng(0)
    records = [clip(n, " ".join(rng.choice(list("abcdefgh"), rng.integers(3, 9)))) for n in range(200)]
    pairs = swaps(records, lambda text: len(tokenizer.encode(text)), rng, tolerance=0.1)
    assert len(pairs) >= 190
    assert len({pair.messages for pair in pairs}) > 1  # several wordings of the question
    assert all(isinstance(pair.messages[0].content[0], Audio) for pair in pairs)
    again = swaps(records, words, np.random.default_rng(1))
    assert {pair.id for pair in again} != {pair.id for pair in pairs}


def test_equal_texts_are_never_partners():
    assert swaps([clip(0, "hello"), clip(1, "Hello!"), clip(2, " hello ")], words, np.random.default_rng(0)) == []


@given(first=st.integers(0, 100), second=st.integers(0, 100), tolerance=st.floats(0, 1))
def test_length_matching_is_symmetric(first: int, second: int, tolerance: float):
    one, other = "x " * first, "x " * second
    matched = length_matched(one, other, words, tolerance)
    assert matched == length_matched(other, one, words, tolerance)
    assert matched == (abs(first - second) <= tolerance * max(first, second))


def test_one_word_is_misheard():
    confusable = Confusable([])
    rng = np.random.default_rng(0)
    heard = {confusable.mishear("The SHIP was Fifteen, he said.", rng) for _ in range(100)}
    expected = {"SHEEP": "SHIP", "Fifty": "Fifteen", "she": "he", "sad": "said", "is": "was"}
    assert heard == {"The SHIP was Fifteen, he said.".replace(f" {old}", f" {new}") for new, old in expected.items()}
    assert confusable.mishear("Xylophone!", rng) is None


def test_words_of_the_corpus_that_are_spelt_alike():
    corpus = ["die Straßen sind nass", "wir strahlen", "die Strafen", "ganz anders"]
    assert set(Confusable(corpus).others("straßen")) == {"strafen", "strahlen"}
    assert Confusable([]).others("straßen") == ()


@given(text=_TEXT, seed=st.integers(0, 9))
def test_a_mishearing_is_another_text_of_as_many_words(text: str, seed: int):
    other = Confusable(["the rains fell", "foxes"]).mishear(text, np.random.default_rng(seed))
    if other is not None:
        assert plain(other) != plain(text)
        assert words(other) == words(text)


def test_what_a_model_heard_is_kept_only_where_it_is_wrong_and_of_like_length():
    record = clip(0, "it is fifteen miles")
    found = misheard(record, "It is fifty miles.", "What is said?", words, 0.1)
    assert found is not None
    assert (found.chosen, found.rejected) == ("it is fifteen miles", "It is fifty miles.")
    assert found.messages == (Message("user", (Audio(), "What is said?")),)
    assert misheard(record, "It is Fifteen miles!", "?", words, 0.1) is None
    assert misheard(record, "it is fifty", "?", words, 0.1) is None
    assert misheard(record, "...", "?", words, 5.0) is None
    assert misheard(clip(0, ""), "hello", "?", words, 1.0) is None


def test_sincere_and_sarcastic_are_as_often_right():
    records = [clip(n, "sarcastic" if n % 3 else "Sincere", task="emotion") for n in range(20)]
    pairs = tones([*records, clip(30, "angry", task="emotion")], np.random.default_rng(0))
    assert len(pairs) == 14
    assert Counter(pair.chosen.casefold() for pair in pairs) == {"sincere": 7, "sarcastic": 7}
    assert all(pair.chosen.casefold() != pair.rejected for pair in pairs)
    of_tone = [Counter(p.messages for p in pairs if p.chosen.casefold() == tone) for tone in ("sincere", "sarcastic")]
    assert of_tone[0] == of_tone[1]  # the question gives nothing away either
    assert len({pair.recordings for pair in pairs}) == 14
    assert tones([clip(0, "sincere")], np.random.default_rng(0)) == []


def test_a_manifest_comes_back_as_it_was(tmp_path: Path):
    turns = (
        Message("system", ("Be exact.",)),
        Message("user", ("Listen: ", Audio(), " and ", Audio())),
        Message("assistant", ("Yes?",)),
        Message("user", ("What is said?",)),
    )
    own = (Recording(tmp_path / "audio" / "a.wav"), Recording(Path("/elsewhere/b.wav")))
    written = [
        Preference("x", "1", "data", own, turns, 'He said "yes".', "Nein – 不", "safety"),
        Preference("x", "2", "data", own, turns, "a", "b", None, tuple(reversed(own))),
        with_recordings(Preference("x", "3", "data", own, turns, "a", "b", None, own), own, "noisy"),
    ]
    path = tmp_path / "pairs.jsonl"
    assert write_preferences(written, path) == 3
    lines = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["audios"] == ["audio/a.wav", "/elsewhere/b.wav"]
    read = [replace(record, where="x") for record in open_records(path)]
    assert read[:2] == written[:2]
    assert read[2] == Preference("x", "3, noisy", "data", own, turns, "a", "b")


def test_recordings_inside_shards_have_no_name(tmp_path: Path):
    record = Preference("s.tar:3", "1", "s", (Recording(Path("s.tar"), 512, 100),), (), "a", "b")
    with pytest.raises(UserError, match=r"s\.tar:3: the recording lies inside a shard"):
        write_preferences([record], tmp_path / "pairs.jsonl")
