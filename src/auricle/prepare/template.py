"""The published chat template and the raw prompt form, rendered in id space: the only place that writes either.

Text between two special tokens is tokenised as one piece, as the published processor does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auricle.conversation import DEFAULT_SYSTEM, Audio, Message, RawPrompt, count_audios
from auricle.errors import UserError
from auricle.prepare.prompt import Prompt
from auricle.text import Tokenizer

AUDIO, AUDIO_BOS, AUDIO_EOS = "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"
IM_START, IM_END = "<|im_start|>", "<|im_end|>"


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The ids that structure a prompt."""

    audio: int
    audio_bos: int
    audio_eos: int
    im_start: int
    im_end: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "SpecialTokens":
        """Look them up; a tokenizer without one of them is refused."""
        return cls(*(tokenizer.special(token) for token in (AUDIO, AUDIO_BOS, AUDIO_EOS, IM_START, IM_END)))


def render(
    messages: Sequence[Message], audio_tokens: Sequence[int], tokenizer: Tokenizer, *, open_turn: bool
) -> Prompt:
    """The published chat template.

    Each message is `<|im_start|>role`, a new line, its parts, `<|im_end|>`, a new line; a recording is
    `Audio 1: <|audio_bos|>...<|audio_eos|>` and a new line, numbered through the whole conversation. Without a
    system message the published default one comes first.

    Args:
        messages: the turns so far.
        audio_tokens: how many tokens each recording makes, in order.
        tokenizer: encodes the text.
        open_turn: end with the opening of the assistant's turn, for generation.
    """
    _check_counts(count_audios(messages), len(audio_tokens))
    if not messages or messages[0].role != "system":
        messages = [Message("system", (DEFAULT_SYSTEM,)), *messages]
    writer = _Writer(SpecialTokens.of(tokenizer), list(audio_tokens), tokenizer.encode)
    for message in messages:
        writer.turn(message)
    if open_turn:
        writer.special(writer.tokens.im_start)
        writer.text("assistant\n")
    return writer.prompt()


def render_raw(
    raw: RawPrompt,
    audio_tokens: Sequence[int],
    tokenizer: Tokenizer,
    *,
    answer: str | None = None,
    end_id: int | None = None,
) -> Prompt:
    """The raw form in which base models are evaluated: text and recordings in the order given, no turns.

    A language tag such as `<|en|>` is the tokenizer's own token where it has one, else plain text; in the chat
    template it is always plain text.

    Args:
        raw: for example `(Audio(), "Detect the language and recognize the speech: <|en|>")`.
        audio_tokens: how many tokens each recording makes, in order.
        tokenizer: encodes the text.
        answer: in training, what the model should say after it; counted in the loss mask.
        end_id: in training, the id that ends the answer.
    """
    _check_counts(sum(isinstance(part, Audio) for part in raw.content), len(audio_tokens))
    writer = _Writer(SpecialTokens.of(tokenizer), list(audio_tokens), tokenizer.encode_tagged)
    for part in raw.content:
        if isinstance(part, Audio):
            writer.audio()
        else:
            writer.text(part)
    if answer is not None:
        writer.answer(answer, writer.tokens.im_end if end_id is None else end_id)
    return writer.prompt()


class _Writer:
    """Collects ids; adjacent text is held back and tokenised as one piece."""

    def __init__(self, tokens: SpecialTokens, audio_tokens: list[int], encode: Callable[[str], list[int]]) -> None:
        self.tokens = tokens
        self._audio_tokens = audio_tokens
        self._encode = encode
        self._pending = ""
        self._ids: list[int] = []
        self._loss: list[bool] = []
        self._spans: list[tuple[int, int]] = []

    def turn(self, message: Message) -> None:
        self.special(self.tokens.im_start)
        self.text(f"{message.role}\n")
        if message.role == "assistant":
            if count_audios([message]):
                raise UserError("the assistant's turn holds a recording; expected text, the model says nothing else")
            self.answer("".join(part for part in message.content if isinstance(part, str)), self.tokens.im_end)
        else:
            for part in message.content:
                if isinstance(part, Audio):
                    self.text(f"Audio {len(self._spans) + 1}: ")
                    self.audio()
                    self.text("\n")
                else:
                    self.text(part)
            self.special(self.tokens.im_end)
        self.text("\n")

    def text(self, text: str) -> None:
        self._pending += text

    def special(self, token_id: int, *, loss: bool = False) -> None:
        self._flush()
        self._append([token_id], loss)

    def audio(self) -> None:
        self.special(self.tokens.audio_bos)
        start = len(self._ids)
        self._append([self.tokens.audio] * self._audio_tokens[len(self._spans)], False)
        self._spans.append((start, len(self._ids)))
        self.special(self.tokens.audio_eos)

    def answer(self, text: str, end_id: int) -> None:
        """Text the model says itself: a piece of its own, because at generation the prompt ends right before it."""
        self._flush()
        self._append(self._encode(text), True)
        self.special(end_id, loss=True)

    def prompt(self) -> Prompt:
        self._flush()
        return Prompt(tuple(self._ids), tuple(self._loss), tuple(self._spans))

    def _flush(self) -> None:
        if self._pending:
            self._append(self._encode(self._pending), False)
            self._pending = ""

    def _append(self, ids: list[int], loss: bool) -> None:
        self._ids += ids
        self._loss += [loss] * len(ids)


def _check_counts(num_places: int, num_recordings: int) -> None:
    if num_places != num_recordings:
        raise UserError(
            f"the conversation has places for {num_places} recordings but {num_recordings} were given; "
            "give one recording per place"
        )
