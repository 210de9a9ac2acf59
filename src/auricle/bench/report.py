"""A run's results as a JSON object and as a table. docs/benchmark.md describes the JSON."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from auricle.bench.timing import Measurement, Spread

if TYPE_CHECKING:
    from rich.table import Table

    from auricle.bench.machine import Machine
    from auricle.bench.settings import Settings

FORMAT = "auricle-bench-1"


@dataclass(frozen=True, slots=True)
class Report:
    """All that one run found, and on what."""

    machine: "Machine"
    settings: "Settings"
    measurements: list[Measurement]

    def to_json(self) -> dict[str, Any]:
        """Plain values, every round's included."""
        return {
            "format": FORMAT,
            "machine": asdict(self.machine),
            "settings": asdict(self.settings) | {"clips": [str(path) for path in self.settings.clips]},
            "measurements": [_plain(measurement) for measurement in self.measurements],
        }

    def to_table(self) -> "Table":
        """For people: medians, and the median ratio with its extremes."""
        from rich.table import Table

        table = Table("what", "auricle", "transformers", "times better (min to max)")
        for column in table.columns:
            column.no_wrap = True
        for measurement in self.measurements:
            ratio = Spread.of(measurement.ratios)
            table.add_row(
                measurement.name,
                _amount(Spread.of(measurement.timings.ours).median, measurement.unit),
                _amount(Spread.of(measurement.timings.theirs).median, measurement.unit),
                f"{ratio.median:.2f} ({ratio.min:.2f} to {ratio.max:.2f})",
            )
        return table


def _plain(measurement: Measurement) -> dict[str, Any]:
    ours, theirs = measurement.timings.ours, measurement.timings.theirs
    return {
        "name": measurement.name,
        "what": measurement.what,
        "unit": measurement.unit,
        "better": measurement.better,
        "ours": asdict(Spread.of(ours)) | {"values": list(ours)},
        "theirs": asdict(Spread.of(theirs)) | {"values": list(theirs)},
        "ratio": asdict(Spread.of(measurement.ratios)) | {"values": measurement.ratios},
        "details": measurement.details,
    }


def _amount(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    if unit == "s":
        return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"
    return f"{value:.1f} {unit}"
