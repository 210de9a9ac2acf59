"""What `/v1/chat/completions` is asked, and what its answers mean, by whose server it is."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from math import fsum, nan
from typing import Any

from auricle import units
from auricle.audio import Waveform
from auricle.conversation import DEFAULT_SYSTEM, Answer, Message, RawPrompt, Sampling, TokenLogprob, count_audios
from auricle.engines.interface import Request
from auricle.engines.reading import draw_seed
from auricle.engines.ticket import Piece
from auricle.engines.verbatim import TEMPLATE, special_token, verbatim
from auricle.engines.vllm_settings import read_schema, refuse_unlike
from auricle.engines.wav import encode_wav
from auricle.errors import UserError

VLLM, AURICLE = "vllm", "auricle"  # as /v1/models names the owners of the models they serve
TRUST_FLAG = "--trust-request-chat-template"
_BEYOND_OPENAI = {  # our settings that OpenAI's API lacks -> their names on those two
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "min_new_tokens": "min_tokens",
}
_NEUTRAL = Sampling()


@dataclass(frozen=True, slots=True)
class ChatServer:
    """A server as it wants to be asked.

    url: ends with /v1.
    model: its name of the model.
    owner: whose server it is; None where it does not say.
    called: how sentences name it.
    max_model_len: tokens of a prompt and its answer together, where it says.
    """

    url: str
    model: str
    owner: str | None
    called: str
    max_model_len: int | None = None

    def body(self, request: Request, sampling: Sampling, index: int) -> dict[str, Any]:
        """All of a request; every neutral value is said where the server would else have a say.

        Raises:
            UserError: a setting or a request that the server cannot be trusted with.
        """
        settings = self._settings(sampling)
        if sampling.seed is not None:
            settings["seed"] = draw_seed(sampling.seed, index)
        return _joined(settings, self._prompt(request))

    def scoring(self, request: Request, text: str) -> dict[str, Any]:
        """A request whose prompt ends with `text`, for the log-probabilities of its tokens: see `read_score`.

        Raises:
            UserError: the server reports no log-probabilities of a prompt.
        """
        if self.owner != VLLM:
            raise UserError(
                f"{self.called} cannot score given texts; use the native, transformers or vllm engine for that"
            )
        asked = self._settings(Sampling(max_new_tokens=1))
        told = {"prompt_logprobs": 0, "return_token_ids": True}
        return _joined(asked, self._verbatim(request, text), {"extra_body": told})

    def _settings(self, sampling: Sampling) -> dict[str, Any]:
        """All of a request but its messages and its seed."""
        if sampling.num_beams > 1:
            raise UserError(
                f"a server does no beam search: got num_beams {sampling.num_beams}; set it to 1 or use another engine"
            )
        known = self.owner in (VLLM, AURICLE)
        changed = [name for name in _BEYOND_OPENAI if getattr(sampling, name) != getattr(_NEUTRAL, name)]
        if changed and not known:
            raise UserError(
                f"{changed[0]} is no part of OpenAI's API and {self.called} is neither vLLM nor Auricle: "
                f"got {getattr(sampling, changed[0])}; leave it out"
            )
        if self.owner == VLLM:
            _refuse_vllm(sampling)
        extra = {theirs: getattr(sampling, ours) for ours, theirs in _BEYOND_OPENAI.items()}
        wanted = sampling.logprobs is not None
        settings = {
            "model": self.model,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop": list(sampling.stop) or None,
            "logprobs": wanted or known,
            "top_logprobs": sampling.logprobs if wanted else None,
            "response_format": _response_format(sampling),
            "extra_body": extra if known else None,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def _prompt(self, request: Request) -> dict[str, Any]:
        """A request's prompt; the server renders its own template where that says the same."""
        turns = request.prompt
        long = next((audio for audio in request.audios if len(audio.samples) > units.WINDOW_SAMPLES), None)
        if self.owner == VLLM and (long or isinstance(turns, RawPrompt)):
            return self._verbatim(request, "")
        if isinstance(turns, RawPrompt):
            raise UserError(
                f"{self.called} takes conversations only, not the raw prompt of a base model; ask a "
                "question or use the native, transformers or vllm engine"
            )
        if long and self.owner != AURICLE:
            raise UserError(
                f"{self.called} may cut a recording at 30 s without a word: got {long.duration_s:.1f} s; "
                "cut it or use another engine"
            )
        self._check(request)
        if not turns or turns[0].role != "system":
            turns = (Message("system", (DEFAULT_SYSTEM,)), *turns)
        sounds = map(_sound, request.audios)
        return {"messages": [{"role": turn.role, "content": _content(turn, sounds)} for turn in turns]}

    def _verbatim(self, request: Request, text: str) -> dict[str, Any]:
        """The prompt word for word, and `text` after it."""
        self._check(request, text)
        parts = [
            {"type": "text", "text": part} if isinstance(part, str) else _sound(part) for part in verbatim(request)
        ]
        content = [*parts, {"type": "text", "text": text}] if text else parts
        return {"messages": [{"role": "user", "content": content}], "extra_body": {"chat_template": TEMPLATE}}

    def _check(self, request: Request, text: str = "") -> None:
        """Places and recordings agree, and no text would become special tokens."""
        raw = isinstance(request.prompt, RawPrompt)
        turns = [Message("user", request.prompt.content)] if isinstance(request.prompt, RawPrompt) else request.prompt
        if count_audios(turns) != len(request.audios):
            raise UserError(
                f"the conversation has places for {count_audios(turns)} recordings but {len(request.audios)} were "
                "given; give one recording per place"
            )
        texts = [part for turn in turns for part in turn.content if isinstance(part, str)]
        if self.owner == VLLM and (token := special_token([*texts, text], tags_allowed=raw)):
            raise UserError(
                f"{self.called} would read {token} in a text as a token of its own; leave it out or use another engine"
            )


class Reading:
    """One answer while it arrives, in chunks or whole.

    vLLM counts a token that ended the answer and reports its log-probability; its stop_reason is a stop text else.
    `Answer.logprob` is NaN where the server sends no log-probabilities.
    """

    def __init__(self, server: ChatServer, sampling: Sampling) -> None:
        self._server = server
        self._wanted = sampling.logprobs is not None
        self._text = ""
        self._tokens: list[TokenLogprob] = []
        self._num_given = 0
        self._num_ending = 0
        self._finish_reason: str | None = None

    def hear(self, choice: Any, text: str | None) -> Piece | None:
        """One choice of a chunk or of a completion, and its text -> what it adds, if anything."""
        said = choice.logprobs.content if choice.logprobs and choice.logprobs.content else []
        self._tokens += [
            TokenLogprob(one.token, one.logprob, tuple((other.token, other.logprob) for other in one.top_logprobs))
            for one in said
        ]
        self._finish_reason = choice.finish_reason or self._finish_reason
        if self._server.owner == VLLM and choice.finish_reason == "stop":
            self._num_ending = int(not isinstance(getattr(choice, "stop_reason", None), str))
        self._text += text or ""
        if not text and not self._finish_reason:
            return None  # its tokens come with the next piece of text
        tokens = self._told()[self._num_given :]
        self._num_given += len(tokens)
        return Piece(text or "", tokens) if text or tokens else None

    @property
    def ended(self) -> bool:
        """Whether the server has said why it ends."""
        return self._finish_reason is not None

    def answer(self, usage: Any) -> Answer:
        """The whole of it."""
        return Answer(
            text=self._text,
            num_prompt_tokens=usage.prompt_tokens,
            num_tokens=usage.completion_tokens - self._num_ending,
            finish_reason="length" if self._finish_reason == "length" else "stop",
            logprob=fsum(token.logprob for token in self._tokens) if self._tokens else nan,
            tokens=self._told(),
        )

    def _told(self) -> tuple[TokenLogprob, ...]:
        return tuple(self._tokens[: len(self._tokens) - self._num_ending]) if self._wanted else ()


def read_score(server: ChatServer, prompt: Any, scored: Any) -> float:
    """The log-probability of the text at a prompt's end: of the completion without it, and of that with it.

    Raises:
        UserError: the text changes the tokens before it.
    """
    before, ids = prompt.prompt_token_ids, scored.prompt_token_ids
    if ids[: len(before)] != before:
        raise UserError(
            f"{server.called} cannot score a text that joins the prompt's last word; let it begin with a "
            "space or use another engine"
        )
    places = zip(ids[len(before) :], scored.prompt_logprobs[len(before) :], strict=True)
    return fsum(place[str(token_id)]["logprob"] for token_id, place in places)


def _refuse_vllm(sampling: Sampling) -> None:
    refuse_unlike(sampling)
    if sampling.stop and sampling.min_new_tokens:
        raise UserError(
            f"a vLLM server hears no stop text in the first min_new_tokens: got {sampling.min_new_tokens} and stop "
            f"{list(sampling.stop)}; leave one of them out or use another engine"
        )


def _response_format(sampling: Sampling) -> dict[str, Any] | None:
    schema = read_schema(sampling)
    if schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _joined(*parts: dict[str, Any]) -> dict[str, Any]:
    """Parts of a body; what each adds to OpenAI's API stands together."""
    body = {name: value for part in parts for name, value in part.items()}
    if extra := {name: value for part in parts for name, value in part.get("extra_body", {}).items()}:
        body["extra_body"] = extra
    return body


def _content(turn: Message, sounds: Iterator[dict[str, Any]]) -> str | list[dict[str, Any]]:
    if not count_audios([turn]):
        return "".join(part for part in turn.content if isinstance(part, str))
    return [{"type": "text", "text": part} if isinstance(part, str) else next(sounds) for part in turn.content]


def _sound(audio: Waveform) -> dict[str, Any]:
    wav = base64.b64encode(encode_wav(audio)).decode()
    return {"type": "input_audio", "input_audio": {"data": wav, "format": "wav"}}
