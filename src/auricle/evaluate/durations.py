"""How long the recordings of samples are, as their containers state it."""

from collections.abc import Sequence
from dataclasses import replace

from auricle.data.durations import duration_s
from auricle.data.parallel import in_order
from auricle.data.records import Recording
from auricle.errors import UserError
from auricle.evaluate.sample import Sample


def with_durations(samples: Sequence[Sample], num_threads: int | None = None) -> list[Sample]:
    """The samples with the durations that they lack; a recording that cannot be heard stays without.

    Only headers are read, where they state it: 30,000 recordings take some tens of seconds, so a reader leaves it out.

    Args:
        samples: in any order.
        num_threads: None for one per core.
    """

    def told(index: int) -> Sample:
        sample = samples[index]
        if sample.duration_s is not None:
            return sample
        try:
            return replace(sample, duration_s=duration_s(Recording(sample.audio)))
        except UserError:  # asking the model says what is wrong
            return sample

    return list(in_order(told, len(samples), num_threads))
