"""A run that learns from its own answers: its steps go through the model first, and every report counts the pairs."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from auricle.data.stream import Step
from auricle.train.judges import verifiable
from auricle.train.model_judge import open_judge
from auricle.train.on_policy import OnPolicy
from auricle.train.opening import Opened
from auricle.train.report import Listener, StepReport
from auricle.train.rollouts import RolloutSettings
from auricle.train.session import Steps
from auricle.train.trainee import Trainee


def on_policy(opened: Opened, trainee: Trainee) -> OnPolicy | None:
    """What draws and judges the answers; None where the recipe asks for none.

    Raises:
        UserError: the recipe's judge does not answer.
    """
    recipe, dpo = opened.recipe, opened.recipe.dpo
    if opened.stage != "dpo" or not dpo.rollouts:
        return None
    settings = RolloutSettings(
        num=dpo.rollouts,
        temperature=dpo.rollout_temperature,
        top_p=dpo.rollout_top_p,
        max_new_tokens=dpo.rollout_max_tokens,
        margin=dpo.rollout_margin,
        length_tolerance=dpo.rollout_length_tolerance,
        seed=recipe.seed,
    )
    asked = open_judge(dpo.rollout_judge, dpo.rollout_judge_model, "helpfulness", recipe.out / "judged.sqlite")
    half = recipe.dtype == "bfloat16"
    return OnPolicy(
        trainee.model,
        opened.tokenizer,
        stop_ids=opened.checkpoint.stop_ids,
        judges=[*verifiable(), *asked],
        settings=settings,
        arithmetic=partial(torch.autocast, opened.ranks.device.type, torch.bfloat16, enabled=half),
    )


@dataclass(frozen=True, slots=True)
class Answered:
    """A stream whose steps go through the model before they are learnt."""

    stream: Steps
    answers: OnPolicy

    def load_state(self, state: dict[str, Any]) -> None:
        """The stream's."""
        self.stream.load_state(state)

    def __iter__(self) -> Generator[Step, None, None]:
        """Steps, until closed."""
        with closing(iter(self.stream)) as steps:
            yield from map(self.answers, steps)


@dataclass(frozen=True, slots=True)
class Counted:
    """A listener that is also told how many of a step's prompts gave a pair."""

    listener: Listener
    answers: OnPolicy

    def step(self, report: StepReport) -> None:
        """With `rollouts/prompts` and `rollouts/pairs`."""
        counts = {"rollouts/prompts": float(self.answers.num_prompts), "rollouts/pairs": float(self.answers.num_pairs)}
        self.listener.step(replace(report, logged=report.logged | counts))

    def note(self, step: int, values: dict[str, float]) -> None:
        """As it is."""
        self.listener.note(step, values)
