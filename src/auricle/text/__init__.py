"""Text and token ids. What a user types can never become a special id that structures a prompt."""

from auricle.text.stream import StreamDecoder
from auricle.text.tokenizer import Tokenizer

__all__ = ["StreamDecoder", "Tokenizer"]
