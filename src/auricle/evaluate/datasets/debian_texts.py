"""What is said in the recordings of the Debian packages, as a listener would write it.

Asterisk's prompt lists and the texts beside Tux Paint's stamps, read and mended. Knows nothing of audio. Refuses
(returns None) where it is unclear what is spoken.
"""

import gzip
import re
from functools import cache
from importlib import resources
from pathlib import Path

_SPELLING = "debian_prompt_spelling.tsv"  # of the assets: language, as listed, as written
_MOJIBAKE = {
    "sar?": "sar\xe0",
    "pu?": "pu\xf2",
    "cos?": "cos\xec",
    "pi?": "pi\xf9",
    " ? ": " \xe8 ",
}  # in the Italian list
_NOTE = re.compile(
    r"\s*\((?:in inglese|data|emphase|note: [^)]*|nota: [^)]*|simple tone sound plays|emme[^)]*|voce "
    r"alternativa[^)]*|produrre [^)]*|You are now muted\.|enfatico|1)\)\.?"
)
_KEY = re.compile(r"\s*\[[^\w\s]?\s?\]\s*")  # the key's sign beside its name: dash [-]
_BRACKETS = re.compile(r"[\[\]<>(){}]")
_MIN_SENTENCE_WORDS = 4
_ENGLISH_NAMES = {"mountaingoat": "Mountain goat", "wildboar": "Wild boar"}  # stems of two words
_UNCLEAR_ENGLISH = {"nandou"}  # written as a rhea


def read_list(path: Path) -> dict[str, str]:
    """Read `core-sounds-*.txt.gz` as prompt id -> raw text; the first of two equal ids wins."""
    prompts: dict[str, str] = {}
    for line in gzip.decompress(path.read_bytes()).decode("utf-8-sig").splitlines():
        identity, colon, text = line.partition(":")
        if colon and text.strip() and not line.startswith(";"):
            prompts.setdefault(identity.strip(), text.strip())
    return prompts


@cache
def spelling(language: str) -> dict[str, str]:
    """What to write for words the list of a language has wrong: only what is plainly a slip or an ASCII spelling."""
    text = (resources.files("auricle") / "assets" / _SPELLING).read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines()[1:])
    return {wrong: right for row_language, wrong, right in rows if row_language == language}


def is_sound(raw: str) -> bool:
    """Whether a raw text is nothing but a stage direction: a tone, silence, screaming monkeys."""
    return bool(re.fullmatch(r"[\[<(].*[\]>)]", raw.strip()))


def clean(raw: str, *, language: str) -> str | None:
    """Clean one prompt's text, or return None where it is unclear what is spoken.

    Stage directions go, slips of the pen are mended, dots that mark a fragment go, the first letter becomes a
    capital, and a text of four words or more without final punctuation gets a period.
    """
    text = raw.strip().strip("\u201c\u201d")
    if language == "it":
        for wrong, right in _MOJIBAKE.items():
            text = text.replace(wrong, right)
    text = _KEY.sub(" ", _NOTE.sub("", text))
    text = re.sub(r"^[a-z]+-[a-z]+: ", "", text)  # an id repeated inside its own text
    if language == "es":
        text = re.sub(r"(?<=[a-z])([cs])ion\b", "\\1i\xf3n", text)
    for wrong, right in spelling(language).items():
        text = re.sub(rf"(?<![\w-]){re.escape(wrong)}(?![\w-])", right, text)
    text = re.sub(r"^(\.{2,}|\u2026)\s*|\s*(\.{2,}|\u2026|:|;|,)$", "", text.strip())
    text = re.sub(r"\s+([.,?!;])", r"\1", " ".join(text.split()))
    if not text or _BRACKETS.search(text) or re.search(r"[*#@?]\w|\?\s[a-z\xe0-\xf9]| [*#] ", text):
        return None
    text = text[0].upper() + text[1:]
    if len(text.split()) >= _MIN_SENTENCE_WORDS and text[-1] not in ".!?\xbb":
        text += "."
    return text


def stamp_texts(path: Path) -> dict[str, str]:
    """Read a stamp's texts by language tag; the untagged first line is English."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    texts = {"en": lines[0].strip()} if lines else {}
    for line in lines[1:]:
        tag, equals, text = line.partition(".utf8=")
        if equals and text.strip():
            texts[tag] = text.strip()
    return texts


def spoken_text(text: str, *, stem: str, language: str) -> str | None:
    """What the speaker says of a stamp, or None where that is unclear.

    Notes in brackets are read with a pause. The English speaker names the thing alone: `frog` for `A frog.`
    """
    if language == "en" and not stem.isdigit():
        return None if stem in _UNCLEAR_ENGLISH else _ENGLISH_NAMES.get(stem, stem.capitalize())
    return re.sub(r"\s*\(([^)]*)\)", r", \1", text)
