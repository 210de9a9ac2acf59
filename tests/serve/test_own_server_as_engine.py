"""Auricle's own server behind `--engine URL` and `--upstream URL` answers as the model in this process does."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import fsum

import numpy as np
import pytest
from serving import Running, until

from auricle.audio import Waveform
from auricle.conversation import Answer, Audio, Message, RawPrompt, Sampling
from auricle.engines import NativeEngine, Request, Session, open_engine
from auricle.engines.upstream import UpstreamService
from auricle.errors import UserError
from auricle.weights import Checkpoint

Noise = Callable[..., np.ndarray]
PLAIN = Sampling(max_new_tokens=12, logprobs=2)
SETTINGS = {
    "plain": PLAIN,
    "no log-probabilities": Sampling(max_new_tokens=12),
    "penalty": replace(PLAIN, repetition_penalty=1.5),
    "minimum": replace(PLAIN, min_new_tokens=8),
    "one of top_k": replace(PLAIN, temperature=1.0, top_k=1),
    "one of min_p": replace(PLAIN, temperature=1.0, min_p=0.999),
    "one of top_p": replace(PLAIN, temperature=1.0, top_p=1e-6),
    "one token": replace(PLAIN, max_new_tokens=1),
}


@pytest.fixture(scope="module")
def native(checkpoint: Checkpoint) -> NativeEngine:
    return NativeEngine(checkpoint)


@pytest.fixture
def url(server: Running) -> str:
    return f"{server.url}/v1"


@pytest.fixture
def upstream(url: str) -> Iterator[UpstreamService]:
    service = UpstreamService([url, url], model="tiny")
    yield service
    service.close()


@pytest.fixture
def requests(noise: Noise) -> list[Request]:
    """Two recordings, several turns, none, one longer than a window, text that looks like a special token."""
    first, second, long = Waveform(noise(0.5)), Waveform(noise(0.9, seed=1)), Waveform(noise(31, seed=2))
    question = Message("user", ("And then?",))
    return [
        Request((Message("user", (Audio(), "Compare: ", Audio(), "?")),), (first, second)),
        Request((Message("user", (Audio(),)), Message("assistant", ("Yes.",)), question), (second,)),
        Request((Message("system", ("Be brief.",)), question)),
        Request((Message("user", (Audio(), "What is said?")),), (long,)),
        Request((Message("user", ("<|im_end|> is text",)),)),
    ]


def assert_same(ours: list[Answer], others: list[Answer], *, logprobs: bool) -> None:
    for one, other in zip(ours, others, strict=True):
        facts = [(a.text, a.num_prompt_tokens, a.num_tokens, a.finish_reason) for a in (one, other)]
        assert facts[0] == facts[1]
        assert [token.text for token in other.tokens] == [token.text for token in one.tokens]
        assert [t.logprob for t in other.tokens] == pytest.approx([t.logprob for t in one.tokens], abs=1e-4)
        for token, expected in zip(other.tokens, one.tokens, strict=True):
            assert [text for text, _ in token.top] == [text for text, _ in expected.top]
        if logprobs:  # the server lists no ending token
            assert other.logprob == pytest.approx(fsum(token.logprob for token in one.tokens), abs=1e-3)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_answers(
    name: str, url: str, upstream: UpstreamService, native: NativeEngine, requests: list[Request]
):
    sampling = SETTINGS[name]
    asked = requests if name == "plain" else requests[1:3]
    expected = list(native.generate(asked, sampling))
    assert len({answer.text for answer in expected}) > 1
    assert any(answer.tokens for answer in expected) == (sampling.logprobs is not None)
    engine = open_engine("tiny", engine=url)
    for others in (engine, Session(upstream)):
        assert_same(expected, list(others.generate(asked, sampling)), logprobs=sampling.logprobs is not None)
    assert "".join(engine.stream(asked[0], sampling)) == "".join(Session(upstream).stream(asked[0], sampling))


def test_stop_texts(url: str, upstream: UpstreamService, native: NativeEngine, requests: list[Request]):
    """One that stands in the middle of what would be said."""
    [whole] = native.generate(requests[2:3], PLAIN)
    stopping = replace(PLAIN, stop=(whole.tokens[len(whole.tokens) // 2].text,))
    expected = list(native.generate(requests[2:3], stopping))
    assert expected[0].text != whole.text
    for others in (open_engine("tiny", engine=url), Session(upstream)):
        assert_same(expected, list(others.generate(requests[2:3], stopping)), logprobs=True)


def test_what_it_cannot_do_is_said(upstream: UpstreamService, noise: Noise):
    with pytest.raises(UserError, match="takes conversations only, not the raw prompt of a base model"):
        upstream.submit(Request(RawPrompt((Audio(),)), (Waveform(noise(0.5)),)), PLAIN)
    with pytest.raises(UserError, match="cannot score given texts"):
        upstream.score(Request(RawPrompt(("Say:",))), ["a"])


def test_a_client_that_leaves_frees_the_server(server: Running, upstream: UpstreamService, requests: list[Request]):
    """The whole way: our ticket, the connection, the server's visit, its batch."""
    ticket = upstream.submit(requests[2], replace(PLAIN, max_new_tokens=400, min_new_tokens=400))
    next(ticket.pieces())
    assert server.gateway.admission.running == 1
    ticket.cancel()
    until(lambda: server.gateway.admission.running == 0)
    until(lambda: server.gateway.service.num_running == 0)
