"""/health: whether a balancer should send requests here."""

from collections.abc import Callable

import pytest
import torch
from serving import Running, ScriptedService, native_service, until

from auricle.conversation import RawPrompt, Sampling
from auricle.engines import Request
from auricle.generate import RunningBatch
from auricle.model import Qwen2Audio
from auricle.weights import Checkpoint

ASKED = Request(RawPrompt(("Who speaks?",)))


def broken(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("no room")


def health(server: Running) -> tuple[int, str]:
    with server.http() as http:
        answer = http.get("/health")
    return answer.status_code, answer.json()["status"]


@pytest.mark.parametrize(("owner", "name"), [(RunningBatch, "step"), (Qwen2Audio, "decode")])
def test_a_model_that_fails_says_so_until_it_answers_again(
    serve: Callable[..., Running],
    checkpoint: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
):
    """Whether its steps fail, or every prompt that it reads."""
    service = native_service(checkpoint)
    server, sampling = serve(service), Sampling(max_new_tokens=3, min_new_tokens=3)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, broken)
        for num_failed in range(1, 4):
            with pytest.raises(torch.OutOfMemoryError):
                service.submit(ASKED, sampling).answer()
            assert health(server) == ((200, "ok") if num_failed < 3 else (503, "failing"))
    service.submit(ASKED, sampling).answer()
    assert health(server) == (200, "ok")


def test_a_server_that_stops_says_so_first(serve: Callable[..., Running]):
    service = ScriptedService()
    service.healthy = True  # type: ignore[attr-defined]
    server = serve(service)
    assert health(server) == (200, "ok")
    service.healthy = False  # type: ignore[attr-defined]
    assert health(server) == (503, "failing")
    server.gateway.admission.drain()
    until(lambda: health(server) == (503, "draining"))
