"""A whole recording for a question or a chat, with a warning where it is longer than any the model was trained on."""

import warnings

from auricle import units
from auricle.audio import Source, Waveform, load, name_of


def hear(recording: Source | Waveform) -> Waveform:
    """Decode what is not decoded yet; beyond 30 s the answer may miss parts, and a warning says so.

    Raises:
        UserError: the recording cannot be heard.
    """
    waveform = recording if isinstance(recording, Waveform) else load(recording)
    if waveform.duration_s > units.WINDOW_S:
        name = "the recording" if isinstance(recording, Waveform) else name_of(recording)
        warnings.warn(
            f"{name} lasts {waveform.duration_s:.0f} s, beyond the {units.WINDOW_S} s that the model was trained to "
            "answer about; expect weaker answers",
            stacklevel=4,
        )
    return waveform
