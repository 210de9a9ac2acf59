"""Three engines and a server give the same answers: our own, transformers, vLLM, and vLLM behind HTTP.

Held-out English prompts of Debian's Asterisk sounds through mini in float32. vLLM runs in an environment of its own,
which `make vllm` makes.
"""

import json
import os
import pickle
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auricle.audio import Waveform, load
from auricle.conversation import Answer, Audio, Message, RawPrompt, Sampling
from auricle.engines import Engine, NativeEngine, Request, open_engine
from auricle.engines.plain import plain_directory
from auricle.errors import UserError
from auricle.weights import locate

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "mini"
VLLM_ENV = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "PYTHONWARNINGS": "ignore"}
pytestmark = [pytest.mark.slow, pytest.mark.mini]

TIE = 1e-3  # between the two likeliest logits: below it either token may follow
RECOGNISE = Sampling(max_new_tokens=64, logprobs=2)
BRIEF = Sampling(max_new_tokens=24, logprobs=2)
NUM_BRIEF = 4  # recordings for each single setting
EVERY = 6  # of the 101 prompts: all of them agreed (docs/log.md), and take the slow tier a quarter of an hour
SETTINGS = {
    "penalty": replace(BRIEF, repetition_penalty=1.3),
    "minimum": replace(BRIEF, min_new_tokens=20),
    "stop texts": replace(BRIEF, stop=(" the", "r ", ".")),
    "stop texts and a minimum": replace(BRIEF, stop=(" the", "r ", "."), min_new_tokens=20),
    "one of top_k": replace(BRIEF, temperature=1.0, top_k=1),
    "one of top_p": replace(BRIEF, temperature=1.0, top_p=1e-6),
    "one of min_p": replace(BRIEF, temperature=1.0, min_p=0.999),
}
GREEDY_TOO = ("one of top_k", "one of top_p", "one of min_p")
REFUSED = {
    "beam search ranks by the prompt's length": replace(BRIEF, num_beams=2),
    "min_p before top_p": replace(BRIEF, temperature=1.0, min_p=0.1, top_p=0.9),
}
CONTINUATIONS = ("Paris", "The capital of France is Paris.", "London, of course", "")


@pytest.fixture(scope="module")
def recordings(data: Path) -> list[Waveform]:
    """The held-out prompts: one speaker's 101 short recordings."""
    sys.path.insert(0, str(RECIPE))
    import score

    return [load(data / clip.audio) for clip in score.test_clips(data, "asterisk-en")]


@pytest.fixture(scope="module")
def prompts(recordings: list[Waveform]) -> list[Request]:
    raw = RawPrompt((Audio(), "Detect the language and recognize the speech: <|en|>"))
    return [Request(raw, (recording,)) for recording in recordings[::EVERY]]


@pytest.fixture(scope="module")
def conversations(recordings: list[Waveform]) -> list[Request]:
    """Two recordings in one turn, a second turn, none, and one longer than a window."""
    first, second = recordings[:2]
    long = Waveform(np.concatenate([recording.samples for recording in recordings])[: 45 * 16000])
    question = Message("user", ("What is the capital of France?",))
    return [
        Request((Message("user", (Audio(), "And then? ", Audio(), "What is said?")),), (first, second)),
        Request((Message("user", (Audio(),)), Message("assistant", ("Yes.",)), question), (first,)),
        Request((question,)),
        Request((Message("user", (Audio(), "What is said?")),), (long,)),
    ]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return plain_directory(locate("mini"), dtype=torch.float32)


@pytest.fixture(scope="module")
def ours() -> NativeEngine:
    engine = open_engine("mini", dtype="float32", device="cpu")
    assert isinstance(engine, NativeEngine)
    return engine


@pytest.fixture(scope="module")
def theirs(exported: Path) -> Engine:
    return open_engine(exported, engine="transformers", dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def vllms(
    vllm_bin: Path,
    exported: Path,
    prompts: list[Request],
    conversations: list[Request],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What vLLM says to everything that the tests below ask, from one process."""
    jobs: dict[str, tuple[str, tuple[Any, ...]]] = {
        "prompts": ("generate", (prompts, RECOGNISE)),
        "conversations": ("generate", (conversations, BRIEF)),
        "drawn": ("generate", (prompts[:4] * 2, replace(BRIEF, temperature=1.0, seed=1))),
        "drawn again": ("generate", (prompts[:4] * 2, replace(BRIEF, temperature=1.0, seed=1))),
        "score": ("score", (conversations[2], CONTINUATIONS)),
    }
    jobs |= {name: ("generate", (prompts[:NUM_BRIEF], sampling)) for name, sampling in SETTINGS.items()}
    jobs |= {f"stream {i}": ("stream", (prompts[i], SETTINGS["stop texts"])) for i in range(3)}
    jobs |= {sentence: ("generate", (prompts[:1], sampling)) for sentence, sampling in REFUSED.items()}
    directory = tmp_path_factory.mktemp("vllm")
    (directory / "jobs").write_bytes(pickle.dumps(list(jobs.values())))
    script = Path(__file__).with_name("vllm_answers.py")
    command = [vllm_bin / "python", script, exported, directory / "jobs", directory / "results"]
    done = subprocess.run(command, env=VLLM_ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(zip(jobs, pickle.loads((directory / "results").read_bytes()), strict=True))


def tied(one: Answer, other: Answer) -> bool:
    """Whether two answers first differ where our two likeliest tokens are as good as equal."""
    for said, heard in zip(one.tokens, other.tokens, strict=False):
        if said.text != heard.text:
            (_, best), (_, second) = said.top
            return best - second < TIE
    return False


def assert_same(ours: Sequence[Answer], others: Sequence[Answer], *, at_least: float = 1.0) -> None:
    """The same but for ties, which are printed, and of which there are few; log-probabilities close."""
    same = 0
    for index, (one, other) in enumerate(zip(ours, others, strict=True)):
        facts = [(a.text, a.num_prompt_tokens, a.num_tokens, a.finish_reason) for a in (one, other)]
        if facts[0] == facts[1]:
            same += 1
            assert other.logprob == pytest.approx(one.logprob, abs=0.01)
            assert [t.text for t in one.tokens] == [t.text for t in other.tokens]
            assert [t.logprob for t in other.tokens] == pytest.approx([t.logprob for t in one.tokens], abs=2e-3)
        else:
            print(f"{index}: {facts}")
            assert tied(one, other), facts
    assert same >= at_least * len(ours)


@pytest.fixture(scope="module")
def said(ours: NativeEngine, prompts: list[Request]) -> list[Answer]:
    return list(ours.generate(prompts, RECOGNISE))


def test_transformers_says_what_we_say(theirs: Engine, said: list[Answer], prompts: list[Request]):
    assert len(prompts) > 15
    assert_same(said, list(theirs.generate(prompts, RECOGNISE)), at_least=0.99)


def test_vllm_says_what_we_say(vllms: dict[str, Any], said: list[Answer]):
    assert_same(said, vllms["prompts"], at_least=0.99)


def test_to_another_recording_they_say_something_else(vllms: dict[str, Any], said: list[Answer]):
    """Negative control: the answers hang on the sound."""
    shifted = vllms["prompts"][1:] + vllms["prompts"][:1]
    assert sum(one.text == other.text for one, other in zip(said, shifted, strict=True)) < 0.05 * len(said)
    with pytest.raises(AssertionError):
        assert_same(said, shifted, at_least=0.99)


def test_conversations(
    vllms: dict[str, Any], theirs: Engine, ours: NativeEngine, conversations: list[Request], said: list[Answer]
):
    expected = list(ours.generate(conversations, BRIEF))
    assert len({answer.text for answer in expected}) >= 3
    assert expected[3].num_prompt_tokens > 45 * 25
    assert_same(expected, vllms["conversations"])
    assert_same(expected, list(theirs.generate(conversations, BRIEF)))


@pytest.fixture(scope="module")
def greedy(ours: NativeEngine, prompts: list[Request]) -> list[str]:
    return [answer.text for answer in ours.generate(prompts[:NUM_BRIEF], BRIEF)]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_means_the_same(
    name: str, vllms: dict[str, Any], theirs: Engine, ours: NativeEngine, prompts: list[Request], greedy: list[str]
):
    asked = prompts[:NUM_BRIEF]
    expected = list(ours.generate(asked, SETTINGS[name]))
    assert ([answer.text for answer in expected] == greedy) == (name in GREEDY_TOO)
    assert_same(expected, vllms[name])
    assert_same(expected, list(theirs.generate(asked, SETTINGS[name])))


def test_vllm_streams_what_it_says(vllms: dict[str, Any]):
    for index, answer in enumerate(vllms["stop texts"][:3]):
        assert "".join(vllms[f"stream {index}"]) == answer.text
        assert all(vllms[f"stream {index}"])
    assert max(len(vllms[f"stream {index}"]) for index in range(3)) > 1


def test_vllm_repeats_a_seeded_draw(vllms: dict[str, Any]):
    texts = [answer.text for answer in vllms["drawn"]]
    assert [answer.text for answer in vllms["drawn again"]] == texts
    assert texts[:4] != texts[4:]  # the same requests at other places draw anew


def test_scores(vllms: dict[str, Any], theirs: Engine, ours: NativeEngine, conversations: list[Request]):
    expected = ours.score(conversations[2], CONTINUATIONS)
    assert expected[1] > expected[0] > expected[2]
    assert vllms["score"] == pytest.approx(expected, abs=0.01)
    assert theirs.score(conversations[2], CONTINUATIONS) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("sentence", REFUSED)
def test_vllm_refuses_what_it_understands_in_another_way(sentence: str, vllms: dict[str, Any]):
    assert sentence in vllms[sentence]


@pytest.fixture(scope="module")
def url(vllm_bin: Path, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """vLLM's server on a copy of the checkpoint whose generation_config would spoil every answer that let it."""
    directory = tmp_path_factory.mktemp("served")
    for path in exported.iterdir():
        (directory / path.name).symlink_to(path)
    generation = json.loads((directory / "generation_config.json").read_text())
    (directory / "generation_config.json").unlink()
    spoilt = {"repetition_penalty": 1.9, "temperature": 2.0, "top_k": 7, "do_sample": True, "max_new_tokens": 2}
    (directory / "generation_config.json").write_text(json.dumps(generation | spoilt))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"--host 127.0.0.1 --port {port} --dtype float32 --max-model-len 2048 --enforce-eager"
    # not `vllm serve`: that script looks for a package of the name vllm, and the CPU build's is vllm-cpu
    command = [vllm_bin / "python", "-m", "vllm.entrypoints.openai.api_server", "--model", directory]
    command += [*options.split(), "--served-model-name", "mini"]
    log = directory / "log.txt"
    with log.open("wb") as output, subprocess.Popen(command, env=VLLM_ENV, stdout=output, stderr=output) as server:
        try:
            _wait(server, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


def _wait(server: subprocess.Popen[bytes], health: str, log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()[-4000:]
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"no vLLM server after 300 s: {log.read_text()[-4000:]}")


def test_a_vllm_server_says_what_we_say(
    url: str, ours: NativeEngine, recordings: list[Waveform], conversations: list[Request], prompts: list[Request]
):
    server = open_engine("mini", engine=url, batch_size=4)
    asked = [Request((Message("user", (Audio(), "What is said?")),), (recording,)) for recording in recordings[:5]]
    asked += conversations[:3]
    assert_same(list(ours.generate(asked, BRIEF)), list(server.generate(asked, BRIEF)))
    for name in ("penalty", "minimum", "stop texts"):
        expected = list(ours.generate(asked[:3], SETTINGS[name]))
        assert_same(expected, list(server.generate(asked[:3], SETTINGS[name])))
        pieces = list(server.stream(asked[0], SETTINGS[name]))
        assert "".join(pieces) == expected[0].text
        assert len(pieces) > 1 or name == "stop texts"
    for untrusted in (prompts[:1], conversations[3:]):  # those that trust: tests/serve/test_vllm_serving.py
        with pytest.raises(UserError, match="start vLLM with --trust-request-chat-template"):
            next(server.generate(untrusted, BRIEF))
    with pytest.raises(UserError, match="no model 'Qwen' at"):
        open_engine("Qwen", engine=url)
    with pytest.raises(UserError, match="answered 400"):
        next(server.generate(asked[:1], Sampling(max_new_tokens=4000)))
