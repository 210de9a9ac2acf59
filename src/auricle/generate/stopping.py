"""What ends an answer: ids, and texts that may span tokens and end in the middle of one."""

from collections.abc import Sequence

from auricle.text import StreamDecoder, Tokenizer


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """`text` before the first place where any of the stop texts begins."""
    found = [place for place in map(text.find, stop) if place >= 0]
    return text[: min(found)] if found else text


class StopStream:
    """One answer's text while it grows: it ends before the first stop text, and nothing of one is ever given out.

    Worked example: with the stop text "END", the tokens "one E", "N", "joy" come out as "one ", "", "ENjoy", and
    "one E", "N", "D" as "one ", "", "". The pieces and `finish` joined are `cut_at_stop` of the text of all ids that
    were pushed until it ended.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
        self._decoder = StreamDecoder(tokenizer)
        self._stop = stop
        self._held = ""  # the longest end of the text so far that a stop text may begin with
        self.ended = False

    def push(self, token_id: int) -> str:
        """One more id -> the text that became certain, possibly empty."""
        return self._pass(self._decoder.push(token_id))

    def finish(self) -> str:
        """What was held back, when no more ids come."""
        piece = self._pass(self._decoder.finish())
        return piece if self.ended else piece + self._held

    def _pass(self, text: str) -> str:
        if self.ended:
            return ""
        text = self._held + text
        before = cut_at_stop(text, self._stop)
        self.ended = len(before) < len(text)
        if self.ended:
            return before
        num_held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - num_held :]
        return text[: len(text) - num_held]


class Stopping:
    """Whether one row's answer is over."""

    def __init__(self, stop_ids: frozenset[int], stop: Sequence[str], tokenizer: Tokenizer | None) -> None:
        self._stop_ids = stop_ids
        self._stream = StopStream(need_tokenizer(tokenizer), stop) if stop else None

    def ends(self, token_id: int) -> bool:
        """Whether this next id ends it."""
        if token_id in self._stop_ids:
            return True
        if self._stream is None:
            return False
        self._stream.push(token_id)
        return self._stream.ended


def need_tokenizer(tokenizer: Tokenizer | None) -> Tokenizer:
    """The tokenizer that stop texts cannot do without."""
    if tokenizer is None:
        raise ValueError("stop texts are found in text: give generate a tokenizer")
    return tokenizer


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with, all of `stop` apart."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
