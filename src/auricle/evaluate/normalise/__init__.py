"""Texts as the published scripts and as our strict mode compare them."""

from collections.abc import Iterable

from auricle.errors import UserError
from auricle.evaluate.normalise.interface import Mode
from auricle.evaluate.normalise.official import Official
from auricle.evaluate.normalise.strict import Strict
from auricle.evaluate.sample import Sample

__all__ = ["Official", "Strict", "open_mode"]


def open_mode(name: str, samples: Iterable[Sample]) -> Mode:
    """The mode of that name. samples: all that will be scored; strict learns from them what each source writes down.

    Raises:
        UserError: there is no such mode.
    """
    if name == "official":
        return Official()
    if name == "strict":
        return Strict.for_samples(samples)
    raise UserError(f"no scoring mode {name!r}: expected official or strict")
