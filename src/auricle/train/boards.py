"""A run's values in TensorBoard or Weights & Biases."""

from pathlib import Path
from typing import Any

from auricle.errors import UserError
from auricle.train.report import StepReport


class TensorBoard:
    """A listener that writes event files into OUT/tensorboard; `tensorboard --logdir OUT` shows them."""

    def __init__(self, out: Path, *, step: int = 0) -> None:
        """Open it; values of steps after `step` are taken back, the run does them again.

        Raises:
            UserError: tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise UserError("watch.tensorboard needs tensorboard; run `pip install 'auricle[train]'`") from error
        self._writer: Any = SummaryWriter(out / "tensorboard", purge_step=step + 1 if step else None)

    def step(self, report: StepReport) -> None:
        """Every value of the step."""
        self.note(report.step, board_values(report))

    def note(self, step: int, values: dict[str, float]) -> None:
        """Every value, on the disk before this returns."""
        for name, value in values.items():
            self._writer.add_scalar(name if "/" in name else f"train/{name}", value, step)
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()


class Wandb:
    """A listener that sends to Weights & Biases; WANDB_MODE=offline keeps the run in OUT/wandb."""

    def __init__(self, out: Path, settings: dict[str, Any]) -> None:
        """Begin, or go on with the run whose id OUT/wandb_id.txt holds.

        Raises:
            UserError: wandb is not installed.
        """
        try:
            import wandb
        except ImportError as error:
            raise UserError("watch.wandb needs wandb; run `pip install 'auricle[wandb]'`") from error
        file = out / "wandb_id.txt"
        known = file.read_text(encoding="utf-8").strip() if file.exists() else None
        self._run: Any = wandb.init(
            project="auricle", name=out.name, dir=str(out), id=known, resume="allow", config=settings
        )
        file.write_text(f"{self._run.id}\n", encoding="utf-8")

    def step(self, report: StepReport) -> None:
        """Every value of the step."""
        self.note(report.step, board_values(report))

    def note(self, step: int, values: dict[str, float]) -> None:
        """Every value."""
        self._run.log({"step": step, **values}, step=step)

    def close(self) -> None:
        """Send the rest."""
        self._run.finish()


def board_values(report: StepReport) -> dict[str, float]:
    """A step's values as boards group them: the logged means, `rate/PART`, and what a second brought."""
    per_s = {"tokens_per_s": report.tokens, "audio_s_per_s": report.audio_s, "flops_per_s": report.flops}
    speed = {f"speed/{name}": amount / report.seconds for name, amount in per_s.items() if report.seconds > 0}
    rates = {f"rate/{part}": rate for part, rate in report.rates.items()}
    return {**report.logged, **rates, **speed, "grad_norm": report.grad_norm}
