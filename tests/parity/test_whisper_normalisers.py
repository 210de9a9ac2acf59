"""Whisper's normalisers as the published scripts copied them; transformers holds the same code on its own."""

import json
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

from auricle.evaluate.normalise.whisper import basic, english

pytestmark = pytest.mark.parity

SPELLINGS = json.loads(files("whisper_normalizer").joinpath("normalizers/english.json").read_text())
VOCABULARY = """
    zero oh one two five eleven nineteen twenty ninety hundred thousand million ones second third fifth twelfth
    twentieth thirties hundreds thousandth minus plus dollar pounds euros cents per cent percent and a half double
    triple point the cat kinda sorta dunno cause gonna y'all he's she'd we've i'm won't don’t mr. mrs dr st. 3 007 10
    3.5 .5 1,000 1,2,3 21st 2 nd 1960s $5 £3.07 ¢7 €0.50 50% % -3 +4 ( ) [ ] < > uh um hmm é ß ø ½ ² № １２ colour
    realised . , - ' 's '"""


def sentences() -> st.SearchStrategy[str]:
    spaced = st.tuples(st.sampled_from(VOCABULARY.split()), st.sampled_from([" ", " ", " ", ""]))
    return st.lists(spaced, max_size=12).map(lambda parts: "".join(map("".join, parts)))


@settings(max_examples=400)
@given(sentences() | st.text())
def test_same_as_transformers(text: str):
    assert english(text) == EnglishTextNormalizer(SPELLINGS)(text)
    assert basic(text) == BasicTextNormalizer()(text)


def test_the_librarys_own_list_differs():
    """The control: without its four later contractions taken back, the comparison would fail."""
    from whisper_normalizer.english import EnglishTextNormalizer as Library

    texts = ["kinda", "sorta", "dunno", "cause"]
    assert [Library()(text) for text in texts] == ["kind of", "sort of", "do not know", "because"]
    assert [english(text) for text in texts] == texts
