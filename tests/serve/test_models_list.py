"""/v1/models, and our own client, which finds out from it whom it talks to."""

from collections.abc import Callable
from pathlib import Path

import openai
import pytest
from serving import Running, ScriptedService

from auricle.audio import load
from auricle.conversation import Audio, Message, Sampling
from auricle.engines import NativeEngine, Request
from auricle.engines.openai import OpenAIEngine
from auricle.weights import Checkpoint


def test_the_model_is_listed_by_its_own_name_alone(client: openai.OpenAI):
    [listed] = client.models.list()
    assert (listed.id, listed.object, listed.owned_by) == ("tiny", "model", "auricle")
    assert client.models.retrieve("tiny") == listed
    for other in ("gpt-4o", "tiny/x", "", "Tiny"):
        with pytest.raises((openai.NotFoundError, ValueError)):  # ValueError: the client's own, for no name
            client.models.retrieve(other)


def test_a_name_with_a_slash_is_found(serve: Callable[..., Running], openai_client: Callable[..., openai.OpenAI]):
    name = "Qwen/Qwen2-Audio-7B-Instruct"
    client = openai_client(serve(ScriptedService(), model_name=name))
    assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError, match=f"no model 'x' here, expected '{name}'"):
        client.models.retrieve("x")


def test_the_context_is_told_where_it_is_known(server: Running, serve: Callable[..., Running]):
    with server.http() as http:
        assert http.get("/v1/models").json()["data"][0]["max_model_len"] == 4096
    with serve(ScriptedService()).http() as http:
        assert "max_model_len" not in http.get("/v1/models").json()["data"][0]


def test_our_own_client_hears_through_the_server_what_it_hears_alone(
    server: Running, checkpoint: Checkpoint, recordings: list[Path]
):
    sampling = Sampling(
        temperature=0.8, top_k=9, min_p=0.01, repetition_penalty=1.2, seed=3, max_new_tokens=12, logprobs=2
    )
    remote = OpenAIEngine(f"{server.url}/v1", model="whatever")
    asked = [Request((Message("user", (Audio(), "What?")),), (load(path),)) for path in recordings[:1]]
    [far] = remote.generate(asked, replace_seed(sampling))
    [near] = NativeEngine(checkpoint).generate(asked, replace_seed(sampling))
    assert (far.text, far.num_prompt_tokens, far.num_tokens) == (near.text, near.num_prompt_tokens, near.num_tokens)
    assert [token.text for token in far.tokens] == [token.text for token in near.tokens]
    assert far.logprob == pytest.approx(near.logprob, abs=1e-2) or near.finish_reason == "stop"


def replace_seed(sampling: Sampling) -> Sampling:
    """Greedy: a seed draws otherwise on another engine."""
    from dataclasses import replace

    return replace(sampling, temperature=0.0, top_k=0, min_p=0.0, seed=None)
