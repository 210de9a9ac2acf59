"""index.md and answers.md: what a run folder says to a reader."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auricle.train.curves import Series
from auricle.train.settings import Recipe

_FILES = (
    ("recipe.yaml", "every setting as resolved; `auricle train` reads it back"),
    ("environment.json", "revision, versions, machine and command line of every start"),
    ("data.json", "what was learnt from and held out"),
    ("metrics.jsonl", "every value of every step"),
    ("answers.md", "what the model said to held-out recordings, over time (values: answers.jsonl)"),
    ("refused.jsonl", "samples that were left out, and why"),
)


@dataclass(frozen=True, slots=True)
class Summary:
    """What index.md is made of; `lines` are those of metrics.jsonl, `starts` those of environment.json."""

    stage: str
    recipe: Recipe
    out: Path
    starts: Sequence[dict[str, Any]]
    lines: Sequence[dict[str, Any]]
    series: Series
    curves: Sequence[str]
    model: Path | None


def index_page(summary: Summary) -> str:
    """Markdown: what, when, how far, how good, where the model is; curves and files."""
    rows = [*_what(summary), *_how_good(summary)]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    pictures = "\n".join(f"![{name}]({name})\n" for name in summary.curves)
    files = "\n".join(f"- [{name}]({name}): {what}" for name, what in _FILES if (summary.out / name).exists())
    return f"# {summary.stage} of {summary.recipe.model}\n\n| | |\n|---|---|\n{table}\n\n{pictures}\n{files}\n"


def answers_page(answers: Sequence[dict[str, Any]]) -> str:
    """Markdown: each recording once, with what should be said and what was said at each step."""
    examples: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for answer in answers:
        key = (answer["recording"], answer["prompt"], answer["reference"])
        examples.setdefault(key, []).append(answer)
    parts = ["# Answers to held-out recordings\n"]
    for (recording, prompt, reference), said in examples.items():
        rows = "\n".join(f"| {one['step']} | {_cell(one['hypothesis'])} |" for one in said)
        head = f"## {_cell(recording) or 'no recording'}\n\nasked: {_cell(prompt)}\n\nexpected: {_cell(reference)}\n"
        parts.append(f"{head}\n| step | said |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def _what(summary: Summary) -> list[tuple[str, str]]:
    steps = [line for line in summary.lines if "num_steps" in line]
    done = steps[-1]["step"] if steps else 0
    rows = [
        ("steps", f"{done} of {summary.recipe.steps}"),
        ("started", str(summary.starts[0]["started"])),
        ("last written", str(summary.lines[-1]["at"]) if summary.lines else "nothing yet"),
        ("model", f"`{summary.model}`" if summary.model else "not finished; the newest checkpoint lies in this folder"),
    ]
    if len(summary.starts) > 1:
        again = ", ".join(str(start["from_step"]) for start in summary.starts[1:])
        rows.insert(2, ("went on from step", again))
    return rows


def _how_good(summary: Summary) -> list[tuple[str, str]]:
    rows = [("training loss", f"{summary.series['loss'][-1][1]:.4f}")] if "loss" in summary.series else []
    for name, label, form, best in (
        ("heldout/loss", "held-out loss", ".4f", min),
        ("heldout/gap", "held-out loss below that with other audio", ".1%", max),
        ("heldout/wer", "word error rate", ".1%", min),
        ("heldout/exact_match", "labels right", ".1%", max),
        ("heldout/rewards/accuracies", "reward accuracy", ".1%", max),
        ("silent/rewards/accuracies", "reward accuracy on silence", ".1%", max),
    ):
        if points := summary.series.get(name):
            step, value = points[-1]
            top_step, top = best(points, key=lambda point: point[1])
            text = f"{value:{form}} at step {step}"
            rows.append((label, text if top_step == step else f"{text}; best {top:{form}} at step {top_step}"))
    return rows


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
