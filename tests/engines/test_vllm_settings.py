"""What of our settings vLLM is told, and what is refused because it would mean something else there.

That the rest means the same is shown on a real vLLM in tests/mini/test_engines_agree.py.
"""

import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from auricle.conversation import Sampling
from auricle.engines.vllm import VllmEngine
from auricle.engines.vllm_settings import sampling_settings
from auricle.errors import UserError

STOP = frozenset({7, 3})
FULL = Sampling(
    temperature=0.5,
    top_k=9,
    top_p=0.8,
    repetition_penalty=1.3,
    min_new_tokens=2,
    max_new_tokens=33,
    logprobs=4,
    stop=("END",),
    seed=5,
)


def test_every_setting_has_its_name_there():
    assert sampling_settings(FULL, STOP) == {
        "temperature": 0.5,
        "top_k": 9,
        "top_p": 0.8,
        "min_p": 0.0,
        "repetition_penalty": 1.3,
        "min_tokens": 2,
        "max_tokens": 33,
        "logprobs": 4,
        "stop_token_ids": [3, 7],
        "ignore_eos": True,
    }


ELSEWHERE = {"stop", "seed", "json_schema", "length_penalty", "num_beams"}  # heard by the engine, or refused below


@pytest.mark.parametrize("name", sorted({field.name for field in fields(Sampling)} - ELSEWHERE))
def test_no_setting_is_ignored(name: str):
    other = {"min_p": 0.1, "top_p": 0.7, "temperature": 0.9}.get(name, 3)
    plain = Sampling(0.5)
    assert sampling_settings(replace(plain, **{name: other}), STOP) != sampling_settings(plain, STOP)


@pytest.mark.parametrize(
    ("sampling", "sentence"),
    [
        (Sampling(num_beams=2), "beam search ranks by the prompt's length too: got num_beams 2"),
        (Sampling(0.7, min_p=0.1, top_p=0.9), "applies min_p before top_p, not after it: got min_p 0.1 and top_p 0.9"),
        (Sampling(0.001), "raises a temperature below 0.01: got 0.001"),
    ],
)
def test_what_means_something_else_is_refused(sampling: Sampling, sentence: str):
    with pytest.raises(UserError, match=sentence):
        sampling_settings(sampling, STOP)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.7, min_p=0.1), Sampling(0.7, top_p=0.9), Sampling(0.01)])
def test_the_rest_is_not(sampling: Sampling):
    assert sampling_settings(sampling, STOP)["temperature"] == sampling.temperature


def test_without_the_library(checkpoint_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match=r"run `pip install 'auricle\[vllm\]'`"):
        VllmEngine(checkpoint_dir, dtype=torch.float32)
