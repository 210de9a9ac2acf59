"""Is a text in its stated language: what is objected to, and what passes."""

import pytest

from auricle.data.text_language import language_objection


@pytest.mark.parametrize(
    ("text", "language", "objection"),
    [
        ("Добрый день", "en", "text in Cyrillic letters, stated en"),
        ("hello there", "ru", "text in Latin letters, stated ru"),
        ("今天天气很好", "en", "text in Han letters, stated en"),
        ("これはペンです", "zh", "text in kana, stated zh"),
        ("今天天气很好我们一起去公园散步然后回家吃饭休息", "ja", "text without kana, stated ja"),
        ("안녕하세요", "ja", "text in Hangul letters, stated ja"),
        ("Das ist nicht mein Haus und auch nicht dein Haus", "en", "words of de, stated en"),
        ("The cat was in the house and they have not seen it", "de", "words of en, stated de"),
        ("Je ne suis pas dans la maison avec vous et elle", "es", "words of fr, stated es"),
        ("No está en la casa porque el perro y los gatos", "it", "words of es, stated it"),
    ],
)
def test_another_language_is_objected_to(text: str, language: str, objection: str):
    assert language_objection(text, language) == objection


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The cat was in the house.", "en"),
        ("Das ist nicht mein Haus und auch nicht deins", "de"),
        ("Je ne suis pas dans la maison", "fr"),
        ("今天天气很好", "zh"),
        ("今天天气很好", "yue"),
        ("これはペンです", "ja"),
        ("東京都", "ja"),
        ("Добрый день", "bg"),
        ("안녕하세요", "ko"),
        ("OK", "ru"),  # too few letters to tell
        ("12345 67890", "en"),
        ("Die Hard", "en"),  # one common word of another language is no proof
        ("Der Spiegel and the Times", "en"),
        ("restaurant menu", "fr"),
        ("Sawubona nonke", "zu"),  # a language that the rule does not know
        ("The Beatles gaben der Band mit dem Album einen Namen", "de"),
        ("", "en"),
    ],
)
def test_the_stated_language_and_what_cannot_be_told_pass(text: str, language: str):
    assert language_objection(text, language) is None
