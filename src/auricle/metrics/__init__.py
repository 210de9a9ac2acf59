"""How right an answer is: error rates and their intervals. No torch, no model."""

from auricle.metrics.error_rate import Edits, Interval, bootstrap, error_rate, word_edits

__all__ = ["Edits", "Interval", "bootstrap", "error_rate", "word_edits"]
