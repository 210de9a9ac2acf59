"""How right answers are: counts of each sample, metrics as functions of their sums, intervals. No torch, no model."""

from auricle.metrics.bleu import BLEU, bleu_counts
from auricle.metrics.chrf import CHRF, chrf_counts
from auricle.metrics.counts import Interval, Measure
from auricle.metrics.error_rate import CER, WER, alignment, edit_counts
from auricle.metrics.labels import label_metrics
from auricle.metrics.resample import holm, interval, paired

__all__ = [
    "BLEU",
    "CER",
    "CHRF",
    "WER",
    "Interval",
    "Measure",
    "alignment",
    "bleu_counts",
    "chrf_counts",
    "edit_counts",
    "holm",
    "interval",
    "label_metrics",
    "paired",
]
