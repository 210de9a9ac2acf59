"""The questions of the published evaluation, in its own words; the text after the recording."""

from collections.abc import Sequence

from auricle.assistant.languages import language_name
from auricle.assistant.recognise import RECOGNISE, TRANSLATE

EMOTION = "Recognize the emotion with keywords in English:"  # MELD
VOCAL_SOUND = "Classify the human vocal sound to VocalSound in English:"


def recognise(language: str) -> str:
    """The question for a transcript; the tag tells the model the language, as the official lists do."""
    return f"{RECOGNISE} <|{language}|>"


def translate(language: str, to: str) -> str:
    """The question for a translation between two ISO 639 codes."""
    return f"{TRANSLATE.format(language_name(to))} <|{language}|>"


def name_sound(labels: Sequence[str]) -> str:
    """Our own question for one of a closed list of sounds; the published evaluation has none."""
    return f"Classify the sound as one of {', '.join(labels)}:"
