"""A published tokenizer.json, read twice: without its added tokens for encoding, whole for decoding."""

import json
from collections.abc import Sequence
from pathlib import Path

import tokenizers

from auricle.errors import UserError


class Tokenizer:
    """Text to ids and back. Special ids are reached by name only, through `special`."""

    def __init__(self, tokenizer_json: str) -> None:
        contents = json.loads(tokenizer_json)
        self._special_ids: dict[str, int] = {token["content"]: token["id"] for token in contents["added_tokens"]}
        self._all = tokenizers.Tokenizer.from_str(tokenizer_json)
        contents["added_tokens"] = []
        contents["post_processor"] = None
        self._plain = tokenizers.Tokenizer.from_str(json.dumps(contents))
        self._plain.no_truncation()

    @classmethod
    def from_file(cls, path: Path) -> "Tokenizer":
        """Read a tokenizer.json.

        Raises:
            UserError: there is no such file, or it is damaged.
        """
        if not path.exists():
            raise UserError(f"no {path.name} in {path.parent}; expected a checkpoint directory with its tokenizer")
        try:
            return cls(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises nothing narrower
            raise UserError(f"{path} is damaged: {error}; fetch it again") from error

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; `<|im_end|>` typed by a user is ten characters, never the end of a turn."""
        ids = self._plain.encode(text, add_special_tokens=False).ids
        special = set(self._special_ids.values()).intersection(ids)
        if special:  # a vocabulary that spells a special token with its own merges
            raise UserError(f"text {text!r} would become the special ids {sorted(special)}; leave those characters out")
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special ones left out."""
        return self._all.decode(list(ids), skip_special_tokens=True)

    def special(self, token: str) -> int:
        """The id of a special token such as `<|im_end|>`.

        Raises:
            UserError: the tokenizer has no such token.
        """
        if token not in self._special_ids:
            raise UserError(f"the tokenizer has no {token}; expected the tokenizer of a Qwen2-Audio checkpoint")
        return self._special_ids[token]

    @property
    def special_ids(self) -> frozenset[int]:
        """Every id that plain text can never become."""
        return frozenset(self._special_ids.values())
