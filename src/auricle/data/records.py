"""What a line of training data says: plain records, before any prompt is chosen and any recording is heard."""

from dataclasses import dataclass
from pathlib import Path

from auricle.audio import Waveform, load
from auricle.conversation import Message, RawPrompt
from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class Recording:
    """Where a recording lies: a file, or a member of a tar shard (`offset` and `num_bytes` inside `path`).

    duration_s: as the manifest or the container states it, for planning; None where nothing is known yet.
    """

    path: Path
    offset: int | None = None
    num_bytes: int | None = None
    duration_s: float | None = None

    def load(self) -> Waveform:
        """Decode it.

        Raises:
            UserError: as `auricle.audio.load`; the message names the file.
        """
        if self.offset is None:
            return load(self.path)
        try:
            with self.path.open("rb") as shard:
                shard.seek(self.offset)
                member = shard.read(self.num_bytes)
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror}; check the path") from None
        return load(member)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A recording and what is known about it: stage 1 makes a prompt of it.

    where: file and line, for messages. source: the data set's name. task: a name of `data.tasks`.
    target: the transcript, the translation, the caption or the label. language: of the speech, an ISO 639 code;
    target_language: of a translation. speaker: where it is known.
    """

    where: str
    id: str
    source: str
    recordings: tuple[Recording, ...]
    task: str
    target: str
    language: str | None = None
    target_language: str | None = None
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A whole conversation, the assistant's turns included.

    supervised: for each assistant turn whether it is learnt; None learns all.
    complexity: `simple` or `complex` where the data say; `data.balance` judges the rest by a rule.
    Analysis, voice chat and interleaved turns are told apart by `data.modes`.
    """

    where: str
    id: str
    source: str
    recordings: tuple[Recording, ...]
    messages: tuple[Message, ...]
    supervised: tuple[bool, ...] | None = None
    complexity: str | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """A conversation that ends with the user's turn, an answer that was preferred and one that was not.

    dimension: `factual`, `instruction`, `safety` or `helpfulness`; None where the data do not say.
    rejected_recordings: heard with the rejected answer instead of `recordings`; None for the same.
    """

    where: str
    id: str
    source: str
    recordings: tuple[Recording, ...]
    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    dimension: str | None = None
    rejected_recordings: tuple[Recording, ...] | None = None


Record = Labelled | Dialogue | Preference


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence to learn from: what is read, what is said, and the recordings in the order of their places.

    answer: what is said after a raw prompt; None for a conversation, which holds its answers.
    supervised: for each answer whether it counts in the loss; None counts all.
    """

    prompt: tuple[Message, ...] | RawPrompt
    answer: str | None
    recordings: tuple[Recording, ...]
    where: str
    source: str
    task: str
    supervised: tuple[bool, ...] | None = None


Group = tuple[Example, ...]
"""Sequences that belong together in one pack: one, or the chosen and the rejected answer of a preference."""
