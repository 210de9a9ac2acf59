"""Token ids to an answer, in one place for every engine whose library hands out ids."""

from collections.abc import Sequence

from auricle.conversation import Answer, Sampling, TokenLogprob
from auricle.engines.ticket import Piece
from auricle.errors import UserError
from auricle.generate import Generated, StopStream, Token
from auricle.text import Tokenizer

Alternatives = tuple[tuple[int, float], ...]


class Writer:
    """One answer while its tokens arrive: what of its text is certain, and where it ends."""

    def __init__(self, tokenizer: Tokenizer, stop_ids: frozenset[int], sampling: Sampling) -> None:
        self._tokenizer = tokenizer
        self._stop_ids = stop_ids
        self._sampling = sampling
        self._stream = StopStream(tokenizer, sampling.stop)
        self._row = Generated()
        self._text = ""
        self._num_shown = 0  # tokens that a piece has held
        self.ended = False

    def push(self, token_id: int, logprob: float = 0.0, top: Alternatives = ()) -> str:
        """One more token, its log-probability and the likeliest alternatives -> the text that became certain.

        Nothing is heard after the token that ended the answer.
        """
        if self.ended:
            return ""
        says = token_id not in self._stop_ids
        piece = self._stream.push(token_id) if says else ""
        self._row.add(Token(token_id, logprob, not says or self._stream.ended, top), self._stop_ids)
        self.ended = self._row.finish_reason == "stop" or len(self._row.tokens) == self._sampling.max_new_tokens
        if self.ended:
            piece += self._stream.finish()
        self._text += piece
        return piece

    def write(self, token: Token) -> Piece | None:
        """As `push`, with the tokens that made the text where they are asked for; None while nothing is certain.

        The pieces' tokens joined are the answer's.
        """
        text = self.push(token.id, token.logprob, token.top)
        if not text and not self.ended:
            return None
        shown, self._num_shown = self._num_shown, len(self._row.tokens)
        if self._sampling.logprobs is None:
            return Piece(text) if text else None
        return Piece(text, _report(self._row.tokens[shown:], self._tokenizer))

    def answer(self, num_prompt_tokens: int) -> Answer:
        """The whole of it, once it has ended."""
        row = self._row
        tokens = () if self._sampling.logprobs is None else report_tokens(row, self._tokenizer)
        return Answer(self._text, num_prompt_tokens, len(row.tokens), row.finish_reason, row.logprob, tokens)


def report_tokens(row: Generated, tokenizer: Tokenizer) -> tuple[TokenLogprob, ...]:
    """What `Answer.tokens` holds of a row: each token and its alternatives by their texts."""
    return _report(row.tokens, tokenizer)


def refuse_schema(sampling: Sampling, engine: str) -> None:
    """What an engine does whose decoding cannot be held to a grammar.

    Raises:
        UserError: a schema is asked for.
    """
    if sampling.json_schema is not None:
        raise UserError(f"engine {engine} cannot hold an answer to a JSON schema; use engine vllm, or leave it out")


def _report(tokens: Sequence[Token], tokenizer: Tokenizer) -> tuple[TokenLogprob, ...]:
    name = tokenizer.name
    return tuple(
        TokenLogprob(name(token.id), token.logprob, tuple((name(other), logprob) for other, logprob in token.top))
        for token in tokens
    )
