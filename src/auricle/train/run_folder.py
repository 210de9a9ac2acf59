"""A run folder that reads like an interface: what was asked, on what, what happened at every step, what it says now."""

import dataclasses
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from auricle.errors import UserError
from auricle.train.answering import HeldoutAnswer
from auricle.train.curves import Series, draw_curves, series_of
from auricle.train.environment import describe_environment
from auricle.train.lines import Lines, replace_text, writing
from auricle.train.report import StepReport
from auricle.train.settings import Recipe
from auricle.train.summary import Summary, answers_page, index_page

_REDRAW_S = 30.0  # drawing takes about a second


class RunFolder:
    """A listener that writes down all it hears; on rank 0 alone.

    recipe.yaml: every setting as resolved. environment.json: of every start of the run. data.json: what the data are.
    metrics.jsonl: one line a step, and one for each measurement beside the steps; a run that goes on continues the
    file, which then equals an unbroken run's but for `at` and `seconds`. answers.jsonl, answers.md: what the model
    says to held-out recordings, over time. refused.jsonl: samples left out, and why. index.md and the curves sum up.
    """

    def __init__(
        self,
        out: Path,
        recipe: Recipe,
        *,
        stage: str,
        data: Mapping[str, Any],
        step: int = 0,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """Open a new folder, or one whose run goes on.

        Args:
            out: the folder; made where it is missing.
            recipe: of the run.
            stage: pretrain, sft or dpo.
            data: counts, hours by source and the like, for data.json.
            step: steps done by the checkpoint that the run goes on from; later lines are cut, they are done again.
            say: told, once, what a missing package keeps from being written.

        Raises:
            UserError: the folder cannot be written.
        """
        self.out, self._recipe, self._stage, self._say = out, recipe, stage, say
        self._can_draw, self._curves, self._drawn_at = True, list[str](), -math.inf
        self._metrics, self._answers, self._refused = (
            Lines(out / f"{name}.jsonl") for name in ("metrics", "answers", "refused")
        )
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
        for lines in (self._metrics, self._answers, self._refused):
            lines.cut(step if step else -1)  # what was measured before the first step is measured again
        self._starts = [*self._earlier_starts(), describe_environment() | {"from_step": step}]
        replace_text(out / "environment.json", _json({"starts": self._starts}))
        replace_text(out / "recipe.yaml", recipe_yaml(recipe))
        replace_text(out / "data.json", _json(dict(data)))
        self._summarise(None)

    def step(self, report: StepReport) -> None:
        """One line: the logged means, `rate/PART`, and the counts."""
        counts = ("grad_norm", "tokens", "supervised", "audio_s", "flops", "seconds")
        values = {"step": report.step, "num_steps": report.num_steps, **report.logged}
        values |= {f"rate/{part}": rate for part, rate in report.rates.items()}
        values |= {name: getattr(report, name) for name in counts}
        self._metrics.append(values | {"refused": len(report.refused), "at": _now()})
        for sentence in report.refused:
            self._refused.append({"step": report.step, "why": sentence})

    def note(self, step: int, values: dict[str, float]) -> None:
        """One line; then the summary is made anew, and the curves where the last ones are half a minute old."""
        self._metrics.append({"step": step, **values, "at": _now()})
        self._summarise(None)

    def answers(self, step: int, answers: Sequence[HeldoutAnswer]) -> None:
        """What the model says at this step to held-out recordings."""
        for answer in answers:
            self._answers.append({"step": step, **dataclasses.asdict(answer)})
        if answers:
            replace_text(self.out / "answers.md", answers_page(self._answers.read()))

    def finish(self, model: Path | None = None) -> None:
        """The last summary and curves; `model`: where the trained model lies."""
        self._drawn_at = -math.inf
        self._summarise(model)

    def _summarise(self, model: Path | None) -> None:
        lines = self._metrics.read()
        series = series_of(lines)
        if self._can_draw and time.monotonic() - self._drawn_at >= _REDRAW_S:
            self._draw(series)
        summary = Summary(self._stage, self._recipe, self.out, self._starts, lines, series, self._curves, model)
        replace_text(self.out / "index.md", index_page(summary))

    def _draw(self, series: Series) -> None:
        try:
            self._curves = draw_curves(series, self.out)
        except UserError as error:
            if not isinstance(error.__cause__, ImportError):
                raise
            self._can_draw = False
            self._say(str(error))
        if self._curves:
            self._drawn_at = time.monotonic()

    def _earlier_starts(self) -> list[dict[str, Any]]:
        path = self.out / "environment.json"
        try:
            return list(json.loads(path.read_text(encoding="utf-8"))["starts"])
        except (OSError, ValueError, KeyError, TypeError):
            return []  # a new run, or a file that somebody else changed: what the run was is then said from here on


def recipe_yaml(recipe: Recipe) -> str:
    """Every setting of a recipe, in its order; reading it back makes the same recipe."""
    return yaml.safe_dump(_plain(dataclasses.asdict(recipe)), sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False, default=str) + "\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
