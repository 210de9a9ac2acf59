"""Any OpenAI-compatible server: vLLM's, Auricle's own, OpenAI's."""

import base64
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from math import fsum, nan
from typing import Any

from auricle import units
from auricle.conversation import DEFAULT_SYSTEM, Answer, Message, RawPrompt, Sampling, TokenLogprob, count_audios
from auricle.engines.interface import Request
from auricle.engines.reading import draw_seed
from auricle.engines.vllm import refuse_unlike
from auricle.engines.wav import encode_wav
from auricle.errors import UserError

_VLLM, _AURICLE = "vllm", "auricle"  # as /v1/models names the owners of the models they serve
_BEYOND_OPENAI = {  # our settings that OpenAI's API lacks -> their names on those two
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "min_new_tokens": "min_tokens",
}
_NEUTRAL = Sampling()


class OpenAIEngine:
    """Conversations through `/v1/chat/completions`; the server renders its own chat template.

    The system message that our template would add is sent along, so that every server reads the same conversation.
    `Answer.logprob` is NaN where log-probabilities were not asked for and the server is neither vLLM nor Auricle.
    """

    def __init__(self, url: str, *, model: str, api_key: str | None = None, batch_size: int = 8) -> None:
        key = api_key or os.environ.get("OPENAI_API_KEY") or "none"
        self._client = _import().OpenAI(base_url=url, api_key=key)
        self._url = url
        self._model = model
        self._owner = self._find_owner()
        self.defaults = _NEUTRAL
        self.batch_size = batch_size

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """One answer per request, in their order, `batch_size` of them on their way at once.

        Raises:
            UserError: a setting or a request that the server cannot be trusted with, or no answer from it; the
                answers to the requests before it come first.
        """
        settings = self._settings(sampling)
        refused: list[UserError] = []
        waiting: deque[Future[Answer]] = deque()
        with ThreadPoolExecutor(self.batch_size) as threads:
            try:
                for index, messages in enumerate(self._readable(requests, refused)):
                    body = settings | {"messages": messages} | _seed(sampling, index)
                    waiting.append(threads.submit(self._answer, body, sampling))
                    if len(waiting) == 2 * self.batch_size:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
        if refused:
            raise refused[0]

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        """The pieces of one answer, as the server sends them."""
        body = self._settings(sampling) | {"messages": self._messages(request)} | _seed(sampling, 0)
        body |= {"logprobs": False, "top_logprobs": None}
        with self._sentences(), self._client.chat.completions.create(**_filled(body), stream=True) as chunks:
            for chunk in chunks:
                if chunk.choices and (piece := chunk.choices[0].delta.content):
                    yield piece

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """Refused: a chat completion says how likely its own words are, not how likely others would be."""
        raise UserError(
            f"the server at {self._url} cannot score given texts; use the native, transformers or vllm engine for that"
        )

    def _readable(self, requests: Iterable[Request], refused: list[UserError]) -> Iterator[list[dict[str, Any]]]:
        """The messages of each request before the first one that is refused."""
        try:
            for request in requests:
                yield self._messages(request)
        except UserError as error:
            refused.append(error)

    def _answer(self, body: dict[str, Any], sampling: Sampling) -> Answer:
        with self._sentences():
            completion = self._client.chat.completions.create(**_filled(body))
        choice, usage = completion.choices[0], completion.usage
        # vLLM counts a token that ended the answer and reports its log-probability; its stop_reason is a stop text else
        num_ending = int(
            self._owner == _VLLM and choice.finish_reason == "stop" and not isinstance(choice.stop_reason, str)
        )
        said = choice.logprobs.content if choice.logprobs and choice.logprobs.content else []
        tokens = [
            TokenLogprob(one.token, one.logprob, tuple((other.token, other.logprob) for other in one.top_logprobs))
            for one in said[: len(said) - num_ending]
        ]
        return Answer(
            text=choice.message.content or "",
            num_prompt_tokens=usage.prompt_tokens,
            num_tokens=usage.completion_tokens - num_ending,
            finish_reason="length" if choice.finish_reason == "length" else "stop",
            logprob=fsum(one.logprob for one in said) if body["logprobs"] else nan,
            tokens=() if sampling.logprobs is None else tuple(tokens),
        )

    def _settings(self, sampling: Sampling) -> dict[str, Any]:
        """All of a request but its messages and its seed, every neutral value said where the server has a say."""
        if sampling.num_beams > 1:
            raise UserError(
                f"a server does no beam search: got num_beams {sampling.num_beams}; set it to 1 or use another engine"
            )
        known = self._owner in (_VLLM, _AURICLE)
        changed = [name for name in _BEYOND_OPENAI if getattr(sampling, name) != getattr(_NEUTRAL, name)]
        if changed and not known:
            raise UserError(
                f"{changed[0]} is no part of OpenAI's API and the server at {self._url} is neither vLLM nor Auricle: "
                f"got {getattr(sampling, changed[0])}; leave it out"
            )
        if self._owner == _VLLM:
            self._refuse_vllm(sampling)
        extra = {theirs: getattr(sampling, ours) for ours, theirs in _BEYOND_OPENAI.items()}
        wanted = sampling.logprobs is not None
        return {
            "model": self._model,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop": list(sampling.stop) or None,
            "logprobs": wanted or known,
            "top_logprobs": sampling.logprobs if wanted else None,
            "extra_body": extra if known else None,
        }

    @staticmethod
    def _refuse_vllm(sampling: Sampling) -> None:
        refuse_unlike(sampling)
        if sampling.stop and sampling.min_new_tokens:
            raise UserError(
                f"a vLLM server hears no stop text in the first min_new_tokens: got {sampling.min_new_tokens} and stop "
                f"{list(sampling.stop)}; leave one of them out or use another engine"
            )

    def _messages(self, request: Request) -> list[dict[str, Any]]:
        """A conversation as OpenAI's messages, recordings as wav files inside."""
        if isinstance(request.prompt, RawPrompt):
            raise UserError(
                f"the server at {self._url} takes conversations only, not the raw prompt of a base model; ask a "
                "question or use the native, transformers or vllm engine"
            )
        turns = request.prompt
        if count_audios(turns) != len(request.audios):
            raise UserError(
                f"the conversation has places for {count_audios(turns)} recordings but {len(request.audios)} were "
                "given; give one recording per place"
            )
        for audio in request.audios:
            if len(audio.samples) > units.WINDOW_SAMPLES and self._owner != _AURICLE:
                raise UserError(
                    f"the server at {self._url} may cut a recording at 30 s without a word: got {audio.duration_s:.1f} "
                    "s; cut it or use another engine"
                )
        if not turns or turns[0].role != "system":
            turns = (Message("system", (DEFAULT_SYSTEM,)), *turns)
        sounds = (_sound(encode_wav(audio)) for audio in request.audios)
        return [{"role": turn.role, "content": _content(turn, sounds)} for turn in turns]

    def _find_owner(self) -> str | None:
        """Whose server it is, as its list of models says; a server without one is nobody's we know.

        Raises:
            UserError: it has a list without the model, or it does not answer.
        """
        with self._sentences():
            try:
                models = list(self._client.models.list())
            except _import().NotFoundError:
                return None
        owners = {model.owned_by for model in models}
        if _AURICLE not in owners and self._model not in {model.id for model in models}:
            names = ", ".join(sorted(model.id for model in models)[:5]) or "nothing"
            raise UserError(f"no model {self._model!r} at {self._url}: it serves {names}; name one of those")
        return next((owner for owner in (_AURICLE, _VLLM) if owner in owners), None)

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """The client's errors as one sentence."""
        openai = _import()
        try:
            yield
        except openai.APIConnectionError as error:
            raise UserError(f"no answer from {self._url}: {error}; is the server running?") from error
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise UserError(
                f"the server at {self._url} refused the key ({error.status_code}); set OPENAI_API_KEY to one it knows"
            ) from error
        except openai.APIStatusError as error:
            raise UserError(
                f"the server at {self._url} answered {error.status_code} to model {self._model!r}: {_reason(error)}"
            ) from error


def _content(turn: Message, sounds: Iterator[dict[str, Any]]) -> str | list[dict[str, Any]]:
    if not count_audios([turn]):
        return "".join(part for part in turn.content if isinstance(part, str))
    return [{"type": "text", "text": part} if isinstance(part, str) else next(sounds) for part in turn.content]


def _sound(wav: bytes) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(wav).decode(), "format": "wav"}}


def _seed(sampling: Sampling, index: int) -> dict[str, Any]:
    return {"seed": None if sampling.seed is None else draw_seed(sampling.seed, index)}


def _filled(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _reason(error: Any) -> str:
    """The server's own words, on one line."""
    told = error.body if isinstance(error.body, dict) else {}
    return " ".join(str(told.get("message") or error).split())


def _import() -> Any:
    try:
        import openai
    except ImportError as error:
        raise UserError(
            "an OpenAI-compatible URL needs the client library; run `pip install 'auricle[openai]'`"
        ) from error
    return openai
