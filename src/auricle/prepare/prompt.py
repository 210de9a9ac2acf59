"""A conversation in id space: final lengths, a loss mask, and where the recordings lie."""

from dataclasses import dataclass

from auricle.errors import ContextError


@dataclass(frozen=True, slots=True)
class Prompt:
    """ids with the placeholder already repeated; `loss[i]` says whether id i is something the model should say.

    audio_spans: (first, end) index of each recording's places, in the order of the recordings.
    """

    ids: tuple[int, ...]
    loss: tuple[bool, ...]
    audio_spans: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.loss):
            raise ValueError(f"{len(self.ids)} ids but {len(self.loss)} loss marks")

    def require_room(self, max_tokens: int, *, num_new: int) -> None:
        """Refuse a prompt that cannot be answered within the model's context.

        Raises:
            ContextError: prompt and answer together exceed `max_tokens`.
        """
        if len(self.ids) + num_new > max_tokens:
            raise ContextError(
                f"prompt too long: {len(self.ids)} tokens and {num_new} to answer, expected at most {max_tokens} "
                "together; give a shorter recording or lower max_new_tokens",
                max_tokens - len(self.ids),
            )
