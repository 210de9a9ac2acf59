"""Parts of a row that may differ: by source, duration, signal-to-noise ratio and speaker."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from auricle.evaluate.sample import Sample

_DURATIONS_S = (0.0, 2.0, 5.0, 10.0, 20.0, 30.0)
_SNR_DB = (-20.0, 10.0, 20.0, 30.0, 40.0)
_FEWEST = 5  # samples of a part; fewer say nothing
_MOST_SPEAKERS = 20  # those with the most samples


def slices_of(samples: Sequence[Sample], snr_db: Mapping[Path, float]) -> list[tuple[str, str, list[int]]]:
    """(by, part, places of its samples) for every division in which at least two parts hold five samples or more.

    Args:
        samples: of one row.
        snr_db: by recording, as far as it was measured.
    """
    divisions: tuple[tuple[str, Callable[[Sample], str | None]], ...] = (
        ("source", lambda sample: sample.source),
        ("duration", lambda sample: bin_name(sample.duration_s, _DURATIONS_S, "s")),
        ("snr", lambda sample: bin_name(snr_db.get(sample.audio), _SNR_DB, "dB")),
        ("speaker", lambda sample: sample.speaker),
    )
    found = []
    for by, part_of in divisions:
        parts: dict[str, list[int]] = {}
        for place, sample in enumerate(samples):
            if (part := part_of(sample)) is not None:
                parts.setdefault(part, []).append(place)
        kept = [(by, part, places) for part, places in parts.items() if len(places) >= _FEWEST]
        if len(kept) >= 2:
            found += _in_order(by, kept)
    return found


def bin_name(value: float | None, edges: Sequence[float], unit: str) -> str | None:
    """Which bin a value falls in: `5 to 10 s`; the last one is open, a value below the first edge is in the first.

    Worked example: 7.0 with edges 0, 5, 10 -> `5 to 10 s`; 10.0 -> `10 s and more`.
    """
    if value is None:
        return None
    for low, high in pairwise(edges):
        if value < high:
            return f"{low:g} to {high:g} {unit}" if low > edges[0] else f"under {high:g} {unit}"
    return f"{edges[-1]:g} {unit} and more"


def _in_order(by: str, parts: list[tuple[str, str, list[int]]]) -> list[tuple[str, str, list[int]]]:
    """Bins from low to high, the speakers with the most samples first, sources by name."""
    if by == "speaker":
        return sorted(parts, key=lambda part: (-len(part[2]), part[1]))[:_MOST_SPEAKERS]
    if by in ("duration", "snr"):
        edges = _DURATIONS_S if by == "duration" else _SNR_DB
        unit = "s" if by == "duration" else "dB"
        order = [bin_name(edge, edges, unit) for edge in edges]
        return sorted(parts, key=lambda part: order.index(part[1]))
    return sorted(parts, key=lambda part: part[1])
