"""What becomes of requests when vLLM fails one of them; its engine is a script here.

That the rest is right is shown on a real vLLM in tests/mini/test_engines_agree.py and tests/serve/test_vllm_serving.py.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from auricle.conversation import RawPrompt, Sampling
from auricle.engines import Request, Ticket, vllm
from auricle.engines.vllm import VllmStepper

SCORED = Request(RawPrompt(("Who speaks?",)))
HELLO = 40  # an id


class Script:
    """An engine that says an id a step, and gives up whatever is in `bad`."""

    def __init__(self) -> None:
        self.model_config = SimpleNamespace(max_model_len=77)
        self.names: list[str] = []
        self.prompts: dict[str, list[int]] = {}
        self.bad: set[str] = set()
        self.aborted: list[str] = []

    def add_request(self, name: str, prompt: dict[str, Any], settings: Any) -> None:
        self.names.append(name)
        self.prompts[name] = prompt["prompt_token_ids"]

    def abort_request(self, names: Sequence[str]) -> None:
        self.aborted += names
        self.names = [name for name in self.names if name not in names]

    def step(self) -> Iterator[Any]:
        for name in list(self.names):
            bad = name in self.bad
            if bad:
                self.names.remove(name)
            found = SimpleNamespace(logprob=-0.5)
            places = [{token_id: found} for token_id in self.prompts[name]]
            said = SimpleNamespace(
                token_ids=[] if bad else [HELLO], logprobs=[] if bad else [{HELLO: found}], finish_reason="abort"
            )
            yield SimpleNamespace(request_id=name, outputs=[said], prompt_logprobs=places, finished=bad)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """In place of vLLM's engine; what is imported of it takes anything."""
    script, names = Script(), ("vllm", "vllm.exceptions", "vllm.sampling_params")
    for name in names:
        module = ModuleType(name)
        module.SamplingParams = lambda **settings: settings  # type: ignore[attr-defined]
        module.RequestOutputKind = SimpleNamespace(DELTA=1)  # type: ignore[attr-defined]
        module.VLLMClientError = KeyError  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(vllm, "_start", lambda *_: (script, 4))
    return script


def add(stepper: VllmStepper, num_new: int) -> Ticket:
    ticket, sampling = Ticket(), Sampling(max_new_tokens=num_new)
    stepper.add(stepper.prepare(SCORED, sampling), sampling, 0, ticket)
    return ticket


@pytest.mark.parametrize("scoring", [True, False])
def test_a_request_that_vllm_gives_up_fails_alone(script: Script, checkpoint_dir: Path, scoring: bool):
    """Also where it happens in the steps of a score: the scorer is answered, and the other one is told."""
    stepper = VllmStepper(checkpoint_dir)
    good, bad = add(stepper, 3), add(stepper, 3)
    script.bad = {script.names[1]}
    if scoring:
        assert stepper.score(SCORED, ["a", "b"]) == [-0.5, -0.5]
    while stepper.step():
        pass
    assert good.answer().num_tokens == 3
    assert bad.done
    with pytest.raises(RuntimeError, match="vLLM gave up a request: abort"):
        bad.answer()
    assert not script.names


def test_a_score_that_vllm_gives_up_is_told(script: Script, checkpoint_dir: Path):
    stepper = VllmStepper(checkpoint_dir)
    script.bad = {"0"}
    with pytest.raises(RuntimeError, match="vLLM gave up a request: abort"):
        stepper.score(SCORED, ["a", "b"])
    assert not script.names


def test_the_context_is_that_of_vllm(script: Script, checkpoint_dir: Path):
    assert VllmStepper(checkpoint_dir).max_model_len == 77
