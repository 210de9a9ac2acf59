"""Languages by ISO code and by English name, as the published prompts write them."""

import re

from auricle.errors import UserError

# The languages that the released model is said to hear (its blog, and Qwen-Audio's tags), most spoken data first.
HEARD = ("en", "zh", "yue", "fr", "it", "es", "de", "ja", "ko")
UNSPACED = frozenset({"zh", "yue", "ja", "th"})  # written without spaces between words
_NAMES = {
    "en": "English",
    "zh": "Mandarin",  # what the published translation prompts call it
    "yue": "Cantonese",
    "fr": "French",
    "it": "Italian",
    "es": "Spanish",
    "de": "German",
    "ja": "Japanese",
    "ko": "Korean",
    "ar": "Arabic",
    "bg": "Bulgarian",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "el": "Greek",
    "fi": "Finnish",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
}
_CODES = {name.lower(): code for code, name in _NAMES.items()} | {"chinese": "zh"}
_CODE = re.compile(r"[a-z]{2,3}")


def language_code(language: str) -> str:
    """An ISO code, or a language's English name -> its ISO code; `auto` stays.

    Raises:
        UserError: neither a code nor a known name.
    """
    code = _CODES.get(language.lower(), language)
    if code != "auto" and not _CODE.fullmatch(code):
        raise UserError(f"unknown language {language!r}: expected an ISO code such as en or yue, its name, or auto")
    return code


def language_name(language: str) -> str:
    """An ISO code or a name -> the English name that a translation prompt says; unknown names stay as they are.

    Raises:
        UserError: an unknown code, or nothing that could be a name.
    """
    name = _NAMES.get(_CODES.get(language.lower(), language))
    is_name = language.replace(" ", "").replace("-", "").isalpha() and language.lower() != "auto"
    if name is None and (_CODE.fullmatch(language) or not is_name):
        raise UserError(f"unknown language {language!r}: expected a name such as German, or a code such as de")
    return name or language
