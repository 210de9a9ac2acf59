"""What is asked in an evaluation, what is right, and what came back: types that reading, running and scoring share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from auricle.conversation import FinishReason

Task = Literal["asr", "translation", "emotion", "vocal_sound", "sound", "chat"]
LABEL_TASKS: tuple[Task, ...] = ("emotion", "vocal_sound", "sound")  # the answer is one of a closed list of labels


@dataclass(frozen=True, slots=True)
class Sample:
    """One recording with one question and its right answer.

    id: unique within its source. dataset: `librispeech`; source: the part that is scored apart, as the official lists
    name it (`librispeech_test_clean`). prompt: the text after the recording, without audio tags; of a chat, the
    question. reference: what is right (the official lists' `gt`). language: spoken, an ISO 639 code;
    target_language: of a translation. labels: all that the source allows, for a closed list. details: what only some
    data sets have, such as AIR-Bench's description of the recording for its judge.
    """

    id: str
    dataset: str
    source: str
    task: Task
    audio: Path
    prompt: str
    reference: str
    language: str | None = None
    target_language: str | None = None
    speaker: str | None = None
    duration_s: float | None = None
    labels: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """A sample with the model's answer, as the run folder keeps it.

    failure: why there is no answer (a recording that cannot be heard); text is then empty.
    """

    sample: Sample
    text: str
    num_tokens: int = 0
    finish_reason: FinishReason = "stop"
    failure: str | None = None
