"""Texts as the published scripts and as our strict mode compare them."""

from collections.abc import Iterable

from auricle.errors import UserError
from auricle.evaluate.normalise.interface import Mode
from auricle.evaluate.normalise.official import Official
from auricle.evaluate.normalise.strict import Conventions, Strict, conventions_of
from auricle.evaluate.sample import Sample

__all__ = ["Conventions", "Official", "Strict", "conventions_of", "open_mode"]


def open_mode(name: str, samples: Iterable[Sample], conventions: Conventions = ()) -> Mode:
    """The mode of that name.

    Args:
        name: official or strict.
        samples: all that were asked; strict learns from them what a source writes down.
        conventions: of sources of which that is known already, better than a part of them can tell.

    Raises:
        UserError: there is no such mode.
    """
    if name == "official":
        return Official()
    if name == "strict":
        return Strict.for_samples(samples, conventions)
    raise UserError(f"no scoring mode {name!r}: expected official or strict")
