"""Any OpenAI-compatible server: vLLM's, Auricle's own, OpenAI's."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from auricle.conversation import Answer, Sampling
from auricle.engines.chat_server import AURICLE, TRUST_FLAG, VLLM, ChatServer, Reading, read_score
from auricle.engines.interface import Request
from auricle.errors import UserError


class OpenAIEngine:
    """Conversations through `/v1/chat/completions`; the server renders its own chat template.

    The system message that our template would add is sent along, so that every server reads the same conversation.
    A vLLM server that runs with --trust-request-chat-template also takes raw prompts, recordings of any length and
    texts to score. `Answer.logprob` is NaN where log-probabilities were not asked for and the server is neither vLLM
    nor Auricle.
    """

    def __init__(self, url: str, *, model: str, api_key: str | None = None, batch_size: int = 8) -> None:
        self._client = import_openai().OpenAI(base_url=url, api_key=find_key(api_key))
        self._server = find_server(self._client, url, model)
        self.defaults = Sampling()
        self.batch_size = batch_size

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """One answer per request, in their order, `batch_size` of them on their way at once.

        Raises:
            UserError: a setting or a request that the server cannot be trusted with, or no answer from it; the
                answers to the requests before it come first.
        """
        refused: list[UserError] = []
        waiting: deque[Future[Answer]] = deque()
        with ThreadPoolExecutor(self.batch_size) as threads:
            try:
                for body in self._bodies(requests, sampling, refused):
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
        body = self._server.body(request, sampling, 0) | {"logprobs": False}
        body.pop("top_logprobs", None)
        with sentences(self._server), self._client.chat.completions.create(**body, stream=True) as chunks:
            for chunk in chunks:
                if chunk.choices and (piece := chunk.choices[0].delta.content):
                    yield piece

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """The log-probability of each text as what the model says next: on a vLLM server that trusts our template.

        Raises:
            UserError: any other server says how likely its own words are, not how likely others would be.
        """
        bodies = [self._server.scoring(request, text) for text in ("", *continuations)]
        with sentences(self._server):
            prompt, *scored = (self._client.chat.completions.create(**body) for body in bodies)
        return [read_score(self._server, prompt, one) for one in scored]

    def _bodies(
        self, requests: Iterable[Request], sampling: Sampling, refused: list[UserError]
    ) -> Iterator[dict[str, Any]]:
        """What is sent for each request before the first one that is refused."""
        try:
            for index, request in enumerate(requests):
                yield self._server.body(request, sampling, index)
        except UserError as error:
            refused.append(error)

    def _answer(self, body: dict[str, Any], sampling: Sampling) -> Answer:
        with sentences(self._server):
            completion = self._client.chat.completions.create(**body)
        reading = Reading(self._server, sampling)
        reading.hear(completion.choices[0], completion.choices[0].message.content)
        return reading.answer(completion.usage)


def find_key(api_key: str | None) -> str:
    """The key that servers are shown: the one given, or OPENAI_API_KEY."""
    return api_key or os.environ.get("OPENAI_API_KEY") or "none"


def find_server(client: Any, url: str, model: str) -> ChatServer:
    """Whose server it is, as its list of models says; a server without one is nobody's we know.

    Raises:
        UserError: it has a list without the model, or it does not answer.
    """
    server = ChatServer(url, model, None, f"the server at {url}")
    with sentences(server):
        try:
            models = list(client.models.list())
        except import_openai().NotFoundError:
            return server
    owners = {one.owned_by for one in models}
    if AURICLE not in owners and model not in {one.id for one in models}:
        names = ", ".join(sorted(one.id for one in models)[:5]) or "nothing"
        raise UserError(f"no model {model!r} at {url}: it serves {names}; name one of those")
    owner = next((owner for owner in (AURICLE, VLLM) if owner in owners), None)
    named = next((one for one in models if one.id == model), models[0])  # Auricle has one, and accepts any name
    told = getattr(named, "max_model_len", None)
    return replace(server, owner=owner, max_model_len=told if isinstance(told, int) else None)


@contextmanager
def sentences(server: ChatServer) -> Iterator[None]:
    """The client's errors as one sentence."""
    openai = import_openai()
    try:
        yield
    except openai.APIConnectionError as error:
        raise UserError(f"no answer from {server.url}: {error}; is the server running?") from error
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise UserError(
            f"{server.called} refused the key ({error.status_code}); set OPENAI_API_KEY to one it knows"
        ) from error
    except openai.APIStatusError as error:
        raise UserError(refusal(server, error)) from error


def refusal(server: ChatServer, error: Any) -> str:
    """What a server answered instead of an answer, in one sentence."""
    told = error.body if isinstance(error.body, dict) else {}
    words = " ".join(str(told.get("message") or error).split())
    if TRUST_FLAG in words:
        return (
            f"{server.called} takes no raw prompts, no recordings over 30 s and no texts to score; start "
            f"vLLM with {TRUST_FLAG}, or ask questions about shorter recordings"
        )
    return f"{server.called} answered {error.status_code} to model {server.model!r}: {words}"


def import_openai() -> Any:
    """The client library.

    Raises:
        UserError: it is not installed.
    """
    try:
        import openai
    except ImportError as error:
        raise UserError(
            "an OpenAI-compatible URL needs the client library; run `pip install 'auricle[openai]'`"
        ) from error
    return openai
