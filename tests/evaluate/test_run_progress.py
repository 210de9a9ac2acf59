"""What a run says of itself while it runs."""

import io

from rich.console import Console

from auricle.evaluate.progress import Progress, duration


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_elsewhere_than_on_a_terminal_a_line_now_and_then_reckoned_by_length():
    said, clock = io.StringIO(), Clock()
    with Progress(Console(file=said, width=20), clock) as progress:
        progress.begin(10, 2, 100.0)
        clock.now = 1000.0  # loading is no answering
        progress.ready()
        clock.now += 29.0
        progress.done(40.0, 44.0, failed=False)
        clock.now += 11.0
        progress.done(10.0, 0.0, failed=True)
        clock.now += 1.0
        progress.done(5.0, 5.0, failed=False)
    assert said.getvalue().splitlines() == [
        "2 samples are answered already, 10 are to be asked",
        "2 of 10 samples, 1 failed, 1.1 s of audio per s, 0:40 left",
    ]


def test_on_a_terminal_a_bar():
    said = io.StringIO()
    with Progress(Console(file=said, width=100, force_terminal=True, color_system=None)) as progress:
        progress.hashed(1, 2)
        progress.begin(2, 0, 10.0)
        progress.ready()
        progress.done(5.0, 5.0, failed=False)
    assert "answering" in said.getvalue()
    assert "1 of 2 samples" in said.getvalue()


def test_silence():
    with Progress.silent() as progress:
        progress.begin(2, 1, 10.0)
        progress.say("anything")
    assert progress._console.quiet


def test_durations():
    assert [duration(seconds) for seconds in (-1, 7.4, 187, 3723)] == ["0:00", "0:07", "3:07", "1:02:03"]
