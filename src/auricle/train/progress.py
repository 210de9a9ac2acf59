"""How training goes, in one line on stderr."""

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

import torch
from rich.console import Console
from rich.live import Live
from rich.text import Text

from auricle.train.report import StepReport

_WINDOW_STEPS = 20  # speeds and the loss are means over so many
_REDRAW_S = 0.1


class _Patient(Console):
    """A console that falls silent where rich's own would end the process: nobody reads its pipe any more."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Progress:
    """A listener and a context: on a terminal one line that is redrawn, elsewhere a plain line every so many steps.

    Nothing is drawn by a thread of its own, stdout is left alone, and what others write to stderr stands above the
    line. A stderr that is gone ends the line, never the run.
    """

    def __init__(
        self,
        *,
        log_every: int,
        device: torch.device,
        peak_flops: float | None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is written before the first step.

        Args:
            log_every: steps between plain lines; 0 writes none.
            device: whose memory is told.
            peak_flops: of all devices together, a second; None shows FLOP/s instead of a share.
            stream: stderr unless given.
            clock: seconds, for the time left.
        """
        self._console = _Patient(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._log_every, self._device, self._peak_flops, self._clock = log_every, device, peak_flops, clock
        self._reports: deque[StepReport] = deque(maxlen=_WINDOW_STEPS)
        self._live: Live | None = None
        self._drawn_at, self._is_gone = -math.inf, False
        self._began: tuple[int, float] | None = None  # the step before the first one heard of, and when

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def step(self, report: StepReport) -> None:
        """Show it."""
        if self._began is None:
            self._began = (report.step - 1, self._clock() - report.seconds)
        self._reports.append(report)
        is_last = report.step == report.num_steps
        if self._console.is_terminal:
            if is_last or self._clock() - self._drawn_at >= _REDRAW_S:
                self._redraw()
        elif self._log_every and (is_last or report.step % self._log_every == 0 or len(self._reports) == 1):
            self.say(self.line())

    def note(self, step: int, values: dict[str, float]) -> None:
        """What was measured, in a line that stays."""
        self.say(f"step {step}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))

    def say(self, sentence: str) -> None:
        """A line that stays, above the moving one."""
        self._safely(lambda: self._console.print(Text(sentence)))

    def close(self) -> None:
        """Leave the last state standing and the cursor below it."""
        if self._live is not None:
            self._redraw()
            self._safely(self._live.stop)
            self._live = None

    def line(self) -> str:
        """All of it, the most telling first; a terminal shows as many parts as fit."""
        return "  ".join(self._parts())

    def _parts(self) -> list[str]:
        last, seconds = self._reports[-1], sum(report.seconds for report in self._reports) or math.inf
        memory, flops = _memory_bytes(self._device), sum(report.flops for report in self._reports) / seconds
        parts = [
            f"step {last.step}/{last.num_steps}",
            *self._loss(),
            f"{_duration(self._seconds_left())} left",
            f"{sum(report.tokens for report in self._reports) / seconds:,.0f} tokens/s",
            f"{sum(report.audio_s for report in self._reports) / seconds:,.1f} s audio/s",
            f"MFU {flops / self._peak_flops:.1%}" if self._peak_flops else f"{flops / 1e9:,.1f} GFLOP/s",
            f"lr {max(last.rates.values(), default=0.0):.2g}",
        ]
        return parts if memory is None else [*parts, f"{memory / 2**30:.1f} GiB"]

    def _loss(self) -> list[str]:
        """Mean of the window's finite losses, or the last one if it is none; nothing where nothing was learnt."""
        losses = [report.logged["loss"] for report in self._reports if "loss" in report.logged]
        if not losses:
            return []
        finite = [loss for loss in losses if math.isfinite(loss)]
        return [f"loss {sum(finite) / len(finite) if math.isfinite(losses[-1]) else losses[-1]:.4g}"]

    def _seconds_left(self) -> float:
        """From the whole time since the first step, so that measuring and saving count."""
        last = self._reports[-1]
        step_before, began = self._began or (last.step - 1, self._clock())
        return (last.num_steps - last.step) * (self._clock() - began) / (last.step - step_before)

    def _redraw(self) -> None:
        text, width = "", self._console.width
        for part in self._parts():
            if len(text) + 2 + len(part) >= width and text:
                break
            text = f"{text}  {part}" if text else part
        self._safely(lambda: self._show(Text(text[: width - 1], no_wrap=True)))
        self._drawn_at = self._clock()

    def _show(self, text: Text) -> None:
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False)
            self._live.start()
        self._live.update(text, refresh=True)

    def _safely(self, write: Callable[[], object]) -> None:
        """A terminal that went away, or a pipe that nobody reads, must not end a training run."""
        if self._is_gone:
            return
        try:
            write()
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._is_gone = True
            if self._live is not None:
                with suppress(OSError, ValueError):
                    self._live.stop()


def _duration(seconds: float) -> str:
    """3:07, 1:02:03 or 2 d 03:04."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24:02}:{minute:02}"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _memory_bytes(device: torch.device) -> int | None:
    """On CUDA the most that was allocated, else what the process holds now; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    import resource

    return int(statm.read_text().split()[1]) * resource.getpagesize()
