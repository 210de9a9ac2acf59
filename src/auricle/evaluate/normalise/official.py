"""Scoring as the published scripts do it, step by step, slips included.

The scripts: QwenLM/Qwen2-Audio, eval_audio/evaluate_{asr,st,emotion,vocal_sound}.py.
"""

from auricle.evaluate.normalise.chinese import cantonese, mandarin
from auricle.evaluate.normalise.interface import ModeName, Pair
from auricle.evaluate.normalise.markup import remove_markup
from auricle.evaluate.normalise.tokens import tokens
from auricle.evaluate.normalise.whisper import basic, english
from auricle.evaluate.sample import Sample


class Official:
    """The published procedure, for figures that stand beside published ones."""

    name: ModeName = "official"
    reasons: tuple[str, ...] = (
        "Transcripts: tags are removed and one space before a punctuation mark; Mandarin loses all its spaces.",
        "English goes through Whisper's English normaliser and then through the Basic one as well: the published code "
        "has `if en: ...` before `if zh: ... else: basic`, so English falls into the else; $ and % vanish there.",
        "Mandarin goes through the speechio text normaliser with every flag off, which writes numbers as characters "
        "and leaves traditional characters as they are.",
        "Cantonese is converted to simplified characters, and it and all other languages go through Whisper's Basic "
        "normaliser: lower case, no brackets nor what they hold, no punctuation; l'homme is two words.",
        "Mandarin and Cantonese are compared by character, Latin letters one by one; other languages by word.",
        "Translations are compared as they are, upper and lower case and tags included.",
        "A label is right where the answer, without leading white space, equals the reference in every character.",
    )

    def words(self, sample: Sample, answer: str) -> Pair:
        """Both sides of a transcription: words, or characters of zh and yue."""
        return Pair(official_tokens(sample.reference, sample.language), official_tokens(answer, sample.language))

    def translation(self, sample: Sample, answer: str) -> tuple[str, str]:
        """Both as they are: the scripts do nothing to them."""
        return sample.reference, answer

    def label(self, sample: Sample, answer: str) -> str | None:
        """The answer without its leading white space where that is the reference or another label, letter by letter."""
        label = answer.lstrip()
        return label if label in (sample.reference, *sample.labels) else None


def official_tokens(text: str, language: str | None) -> tuple[str, ...]:
    """One side of a transcription in the units that the published scripts count.

    language: ISO 639; any but en, zh and yue, and None, are treated alike.

    Raises:
        UserError: a library that the language needs is not installed.
    """
    return tokens(_normalise(remove_markup(text, language), language), language)


def _normalise(text: str, language: str | None) -> str:
    if language == "zh":
        return mandarin(text)
    if language == "yue":
        return cantonese(text)
    return basic(english(text) if language == "en" else text)
