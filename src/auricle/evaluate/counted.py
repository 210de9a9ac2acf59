"""What is counted in each answer of a row, so that every figure of any part of it is a function of sums."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auricle.assistant.languages import UNSPACED
from auricle.evaluate.normalise.interface import Mode, Pair
from auricle.evaluate.normalise.tokens import BY_CHARACTER
from auricle.evaluate.published import Row
from auricle.evaluate.sample import Answered, Sample
from auricle.metrics import BLEU, CER, CHRF, WER, Measure, bleu_counts, chrf_counts, edit_counts, label_metrics

_TOKENIZE = {"zh": "zh", "ja": "ja-mecab"}  # sacreBLEU's tokenizer by target language; else 13a, as the official script


@dataclass(frozen=True, slots=True)
class Counted:
    """One figure of a row. counts: float64 [answers, columns of the measure]."""

    measure: Measure
    counts: np.ndarray
    primary: bool = False


@dataclass(frozen=True, slots=True)
class CountedRow:
    """All that is counted of a row's answers.

    figures: the primary one first. pairs: what was compared, by answer. errors: float64 [answers], 0 is right; edits
    over reference words for texts, 1 for a wrong label. labels: what each answer was taken for, None where it is no
    label; empty for tasks without labels.
    """

    figures: tuple[Counted, ...]
    pairs: tuple[Pair, ...]
    errors: np.ndarray
    labels: tuple[str | None, ...] = ()


def count(row: Row, answered: Sequence[Answered], mode: Mode) -> CountedRow:
    """Count a row's answers in a mode; a failed one counts as an empty answer.

    Raises:
        UserError: a library of the extra `eval` is missing.
        ValueError: the row's metric is the judge's, which is not counted from texts.
    """
    if row.metric == "wer":
        return _transcripts(answered, mode)
    if row.metric == "bleu":
        return _translations(answered, mode)
    if row.metric == "accuracy":
        return _labels(answered, mode)
    raise ValueError(f"{row.name} is scored by a judge")


def by_character(samples: Sequence[Sample]) -> bool:
    """Whether the words of all these transcripts are characters already: a rate of characters would say the same."""
    return all(sample.language in BY_CHARACTER for sample in samples)


def _transcripts(answered: Sequence[Answered], mode: Mode) -> CountedRow:
    pairs = tuple(mode.words(item.sample, item.text) for item in answered)
    words = np.array([edit_counts(pair.reference, pair.answer) for pair in pairs], dtype=np.float64)
    figures = [Counted(WER, words, primary=True)]
    if not by_character([item.sample for item in answered]):
        characters = [edit_counts(" ".join(pair.reference), " ".join(pair.answer)) for pair in pairs]
        figures.append(Counted(CER, np.array(characters, dtype=np.float64)))
    return CountedRow(tuple(figures), pairs, words[:, :3].sum(axis=1) / np.maximum(words[:, 3], 1))


def _translations(answered: Sequence[Answered], mode: Mode) -> CountedRow:
    texts = [mode.translation(item.sample, item.text) for item in answered]
    tokenizers = [_TOKENIZE.get(item.sample.target_language or "", "13a") for item in answered]
    bleu = np.array(
        [bleu_counts(*pair, tokenize) for pair, tokenize in zip(texts, tokenizers, strict=True)], dtype=np.float64
    )
    chrf = np.array([chrf_counts(*pair) for pair in texts], dtype=np.float64)
    pairs = tuple(
        Pair(*(_units(text, item.sample.target_language) for text in pair))
        for pair, item in zip(texts, answered, strict=True)
    )
    errors = 1 - np.array([CHRF.of(row) for row in chrf]) / 100
    figures = (Counted(BLEU, bleu, primary=True), Counted(CHRF, chrf))
    return CountedRow(figures, pairs, np.nan_to_num(errors, nan=1.0))


def _units(text: str, language: str | None) -> tuple[str, ...]:
    """What a report compares: words, or characters of an unspaced script. BLEU cuts as sacreBLEU does."""
    words = text.split()
    return tuple("".join(words)) if language in UNSPACED else tuple(words)


def _labels(answered: Sequence[Answered], mode: Mode) -> CountedRow:
    said = tuple(mode.label(item.sample, item.text) for item in answered)
    right = [item.sample.reference for item in answered]
    known = sorted({*right, *(label for item in answered for label in item.sample.labels)})
    counts, accuracy, macro_f1 = label_metrics(right, said, known)
    pairs = tuple(
        Pair((item.sample.reference,), (label if label is not None else item.text.strip(),))
        for item, label in zip(answered, said, strict=True)
    )
    errors = np.array([float(label != reference) for label, reference in zip(said, right, strict=True)])
    return CountedRow((Counted(accuracy, counts, primary=True), Counted(macro_f1, counts)), pairs, errors, said)
