"""Is a text in the language that its record states? By script, and for eight languages by their commonest words."""

import re
import unicodedata

_MIN_LETTERS = 4  # fewer tell nothing: OK, TV
_MIN_COMMON = 3  # common words of another language, before it is believed
_TIMES = 3  # as many as of the stated one
_SCRIPTS = {
    "Cyrillic": "ru uk bg be sr mk",
    "Arabic": "ar fa ur",
    "Greek": "el",
    "Hebrew": "he",
    "Devanagari": "hi mr ne",
    "Thai": "th",
    "Hangul": "ko",
    "Han": "zh yue",
    "kana": "ja",
    "Latin": "en de fr es it pt nl ca ro pl cs sv da no fi hu tr id vi eu gl",
}
_SCRIPT_OF = {language: script for script, languages in _SCRIPTS.items() for language in languages.split()}
# The words that each language uses most and the others hardly have.
_COMMON_WORDS = {
    "en": "the and of is that was with you this are have not but what they from which would there been their",
    "de": "der die und das ist nicht ein eine ich sie mit auf dem den auch sich wird sind von für",
    "fr": "le les des est et dans que qui une pour pas vous sur avec ce il elle nous sont être",
    "es": "el los las del que y en por con para una su como pero más está este muy hay ser",
    "it": "il che di gli della per non una sono con del anche più questo è alla nel ma come ha",
    "pt": "os das que não uma com para por mais como mas foi ele são dos ao você está também muito",
    "nl": "het een van en dat niet zijn voor met ook maar aan worden deze naar wij hebben geen wordt door",
    "ca": "els les amb que és una per més aquest també però molt està seva són dels aquesta ha fer hi",
}
_COMMON = {language: frozenset(words.split()) for language, words in _COMMON_WORDS.items()}


def language_objection(text: str, language: str) -> str | None:
    """A phrase that says why the text is not in the language, or None.

    A rule that would rather miss than accuse: half of the letters in another script than the language's; kana in
    Chinese, or twenty characters of Han without any in Japanese; for languages in Latin letters, three or more of the
    commonest words of one other language, and three times as many as of the stated one. Languages that it does not
    know, texts of fewer than four letters and digits pass.
    """
    letters = [letter for letter in text if letter.isalpha()]
    script = _SCRIPT_OF.get(language)
    if script is None or len(letters) < _MIN_LETTERS:
        return None
    found = _scripts(letters)
    own = found.get(script, 0) + (found.get("Han", 0) if script == "kana" else 0)
    if script == "Han" and found.get("kana", 0) > len(letters) / 10:
        return f"text in kana, stated {language}"
    if script == "kana" and not found.get("kana") and found.get("Han", 0) >= 20:
        return f"text without kana, stated {language}"
    if own < len(letters) / 2:
        return f"text in {max(found, key=lambda name: found[name])} letters, stated {language}"
    return _common_words_objection(text, language) if language in _COMMON else None


def _common_words_objection(text: str, language: str) -> str | None:
    words = re.findall(r"[^\W\d_]+", text.casefold())
    counts = {other: sum(word in common for word in words) for other, common in _COMMON.items()}
    likeliest = max(counts, key=lambda other: counts[other])
    if likeliest != language and counts[likeliest] >= max(_MIN_COMMON, _TIMES * counts[language]):
        return f"words of {likeliest}, stated {language}"
    return None


def _scripts(letters: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for letter in letters:
        name = unicodedata.name(letter, "").split(" ")[0]
        script = {"CJK": "Han", "HIRAGANA": "kana", "KATAKANA": "kana"}.get(name, name.capitalize())
        found[script] = found.get(script, 0) + 1
    return found
