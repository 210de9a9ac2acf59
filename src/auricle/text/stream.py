"""Text piece by piece while tokens arrive; half a character is held back until its other half comes."""

from auricle.text.tokenizer import Tokenizer

_INCOMPLETE = "\ufffd"  # how a decoder shows bytes that are no whole character yet


class StreamDecoder:
    """Feed ids one at a time; the pieces joined are exactly the text of all ids."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._text_start = 0  # ids before this one are printed and only give context
        self._printed = ""  # text of ids[context:_text_start]
        self._context_start = 0

    def push(self, token_id: int) -> str:
        """One more id -> the text that became certain, possibly empty."""
        self._ids.append(token_id)
        text = self._tokenizer.decode(self._ids[self._context_start :])
        if text.endswith(_INCOMPLETE) or len(text) <= len(self._printed):
            return ""
        return self._emit(text)

    def finish(self) -> str:
        """What was held back at the end, as the tokenizer shows it."""
        return self._emit(self._tokenizer.decode(self._ids[self._context_start :]))

    def _emit(self, text: str) -> str:
        piece = text[len(self._printed) :]
        self._context_start, self._text_start = self._text_start, len(self._ids)
        self._printed = self._tokenizer.decode(self._ids[self._context_start : self._text_start])
        return piece
