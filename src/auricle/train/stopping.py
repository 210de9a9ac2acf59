"""SIGTERM and SIGINT ask a run to end after the step in work."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """The signal that asked to stop; 0 as long as none did."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> bool:
        """Whether there was one."""
        return self.number != 0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Listen for as long as the block runs; a second signal does what it would have done without us.

    Outside the main thread Python hears no signals, and nothing is changed.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hear(number: int, frame: FrameType | None) -> None:
        request.number = number
        restore()

    for number in _SIGNALS:
        signal.signal(number, hear)
    try:
        yield request
    finally:
        restore()
