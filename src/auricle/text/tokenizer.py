"""A published tokenizer.json, read twice: without its added tokens for encoding, whole for decoding."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import tokenizers

from auricle.errors import UserError

_LANGUAGE_TAG = re.compile(r"(<\|[a-z]{2,3}\|>)")  # `<|en|>`: what the published raw prompts end with


class Tokenizer:
    """Text to ids and back. Special ids are reached by name only, through `special`.

    Language tags such as `<|en|>` are the one kind of added token that is also text: `encode_tagged` reads it and
    `decode` writes it, where the tokenizer has it as a token of its own and where it has not.
    """

    def __init__(self, tokenizer_json: str) -> None:
        contents = json.loads(tokenizer_json)
        self._special_ids: dict[str, int] = {token["content"]: token["id"] for token in contents["added_tokens"]}
        for token in contents["added_tokens"]:
            if _LANGUAGE_TAG.fullmatch(token["content"]):
                token["special"] = False  # decoding keeps it
        self._all = tokenizers.Tokenizer.from_str(json.dumps(contents))
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

    def encode_tagged(self, text: str) -> list[int]:
        """Ids of a raw prompt's text: a language tag that is an added token is that token, all else plain text."""
        ids: list[int] = []
        plain = ""
        for piece in _LANGUAGE_TAG.split(text):
            if _LANGUAGE_TAG.fullmatch(piece) and piece in self._special_ids:
                ids += [*self.encode(plain), self._special_ids[piece]]
                plain = ""
            else:
                plain += piece
        return ids + self.encode(plain)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special ones left out, language tags kept."""
        return self._all.decode(list(ids), skip_special_tokens=True)

    def name(self, token_id: int) -> str:
        """Text of one id alone; a special one is its name, such as `<|im_end|>`."""
        return self._all.decode([token_id], skip_special_tokens=False)

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
