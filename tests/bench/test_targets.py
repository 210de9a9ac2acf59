"""What the benchmark is for: on `mini`, beside transformers, the encoder and short recordings keep their distance."""

import pytest

from auricle.bench.run import run
from auricle.bench.settings import Settings
from auricle.bench.timing import Spread


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.mini
def test_short_sound_is_heard_many_times_faster() -> None:
    """Interleaved rounds on whatever else the machine does; 30 s is equal work, so 10 % are left to noise there."""
    report = run(Settings(rounds=3, only=("encoder",)), lambda _: None)
    ratios = {measurement.name: Spread.of(measurement.ratios).median for measurement in report.measurements}
    assert ratios["encoder 1.5 s"] >= 8
    assert ratios["encoder 5 s"] >= 4
    assert ratios["encoder 30 s"] >= 0.9


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.mini
def test_short_recordings_are_transcribed_three_times_faster_in_less_memory() -> None:
    settings = Settings(rounds=1, num_clips=16, batch_sizes=(16,), only=("clips", "memory"))
    time, memory = run(settings, lambda _: None).measurements
    assert Spread.of(time.ratios).median >= 3
    assert time.details["recordings_with_equal_ids"] >= 15
    assert Spread.of(memory.ratios).median >= 1 / 0.7
