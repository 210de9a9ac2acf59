"""`auricle serve` on a really running vLLM, in its process and behind it, answers as it does on our own model."""

import io
import json
import subprocess
import time
from collections.abc import Iterator
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import torch
from vllm_fixtures import ENVIRONMENT, ROOT, vllm_behind, vllm_inside, vllm_python, vllm_server

from auricle.audio import Waveform, load
from auricle.conversation import Answer, Audio, Message, RawPrompt, Sampling
from auricle.engines import NativeEngine, Request, Session, open_engine
from auricle.engines.plain import plain_directory
from auricle.engines.upstream import UpstreamService
from auricle.engines.wav import encode_wav
from auricle.weights import Checkpoint, locate

pytestmark = [pytest.mark.slow, pytest.mark.mini]
FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
RECOGNISE = RawPrompt((Audio(), "Detect the language and recognize the speech: <|en|>"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model as vLLM reads it, in a folder of its name."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        exported = plain_directory(locate("mini"), dtype=torch.float32)
    named = tmp_path_factory.mktemp("model") / "mini"
    named.symlink_to(exported)
    return named


@pytest.fixture(scope="module")
def behind(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """vLLM's own server, which trusts our template."""
    with vllm_server(model, tmp_path_factory.mktemp("vllm") / "log", "--trust-request-chat-template") as url:
        yield url


@pytest.fixture(scope="module", params=["inside", "behind"])
def theirs(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[openai.OpenAI]:
    """The official client of a server on vLLM; at most one vLLM runs at a time."""
    log = tmp_path_factory.mktemp("auricle") / "log"
    if request.param == "inside":
        running = vllm_inside(model, log)
    else:
        running = vllm_behind(request.getfixturevalue("behind"), log)
    with running as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def spoken() -> dict[str, Waveform]:
    """Short recordings, and one longer than a window."""
    first, second = (load(ROOT / "examples" / "recordings" / f"{name}.flac") for name in ("librivox", "prompt"))
    pause = np.zeros(12000, np.float32)
    parts = [first.samples, pause, second.samples, pause] * 4
    return {"librivox": first, "prompt": second, "long": Waveform(np.concatenate(parts))}


def uploaded(waveform: Waveform) -> io.BytesIO:
    file = io.BytesIO(encode_wav(waveform))
    file.name = "speech.wav"
    return file


def heard(waveform: Waveform) -> dict[str, Any]:
    from base64 import b64encode

    return {
        "type": "input_audio",
        "input_audio": {"data": b64encode(encode_wav(waveform)).decode(), "format": "wav"},
    }


def asked(waveform: Waveform, **more: Any) -> dict[str, Any]:
    content = [heard(waveform), {"type": "text", "text": "What is said?"}]
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], "max_tokens": 40} | more


def test_chat(theirs: openai.OpenAI, mini_client: openai.OpenAI, spoken: dict[str, Waveform]):
    """Plain, with log-probabilities, and on a recording longer than a window."""
    texts = set()
    for waveform in spoken.values():
        told = asked(waveform, logprobs=True, top_logprobs=2)
        ours, vllms = (client.chat.completions.create(**told) for client in (mini_client, theirs))
        assert vllms.choices[0].message.content == ours.choices[0].message.content
        assert vllms.choices[0].finish_reason == ours.choices[0].finish_reason
        assert (vllms.usage.prompt_tokens, vllms.usage.completion_tokens) == (
            ours.usage.prompt_tokens,
            ours.usage.completion_tokens,
        )
        said, expected = (answer.choices[0].logprobs.content for answer in (vllms, ours))
        assert [token.token for token in said] == [token.token for token in expected]
        assert [token.logprob for token in said] == pytest.approx([token.logprob for token in expected], abs=2e-3)
        texts.add(vllms.choices[0].message.content)
    assert len(texts) > 1


@pytest.mark.parametrize("more", [{}, {"stop": [" the", "."]}, {"extra_body": {"repetition_penalty": 1.3}}], ids=str)
def test_streamed_chat(
    more: dict[str, Any], theirs: openai.OpenAI, mini_client: openai.OpenAI, spoken: dict[str, Waveform]
):
    told = asked(spoken["prompt"], **more)
    expected = mini_client.chat.completions.create(**told).choices[0].message.content
    with theirs.chat.completions.create(**told, stream=True) as chunks:
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == expected
    assert len([piece for piece in pieces if piece]) > 1


@pytest.mark.parametrize("form", FORMATS)
def test_transcription(form: str, theirs: openai.OpenAI, mini_client: openai.OpenAI, spoken: dict[str, Waveform]):
    for name in ("prompt", "long") if form == "verbose_json" else ("prompt",):
        ours, vllms = (
            client.audio.transcriptions.create(
                model="whisper-1", file=uploaded(spoken[name]), response_format=form, language="en"
            )
            for client in (mini_client, theirs)
        )
        if isinstance(ours, str):
            assert vllms == ours
        elif form == "json":
            assert vllms.text == ours.text
        else:
            assert_like(vllms.model_dump(), ours.model_dump())


def assert_like(one: Any, other: Any) -> None:
    """Equal, numbers but for rounding."""
    if isinstance(other, dict):
        assert one.keys() == other.keys()
        for key in other:
            assert_like(one[key], other[key])
    elif isinstance(other, list):
        for pair in zip(one, other, strict=True):
            assert_like(*pair)
    else:
        assert one == (pytest.approx(other, abs=2e-3) if isinstance(other, float) else other)


def test_streamed_transcription(theirs: openai.OpenAI, mini_client: openai.OpenAI, spoken: dict[str, Waveform]):
    told: dict[str, Any] = {"model": "whisper-1", "language": "en"}
    expected = mini_client.audio.transcriptions.create(file=uploaded(spoken["long"]), **told).text
    events = list(theirs.audio.transcriptions.create(file=uploaded(spoken["long"]), stream=True, **told))
    assert {event.type for event in events[:-1]} == {"transcript.text.delta"}
    assert "".join(event.delta for event in events[:-1]).strip() == events[-1].text.strip() == expected.strip()
    assert len(events) > 2


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the client's word for this endpoint
def test_translation(theirs: openai.OpenAI, mini_client: openai.OpenAI, spoken: dict[str, Waveform]):
    ours, vllms = (
        client.audio.translations.create(model="whisper-1", file=uploaded(spoken["prompt"]))
        for client in (mini_client, theirs)
    )
    assert vllms.text == ours.text


def test_the_language_is_found(theirs: openai.OpenAI, mini_client: openai.OpenAI, spoken: dict[str, Waveform]):
    """Without a language the tags are scored: the prompt's own log-probabilities from vLLM."""
    ours, vllms = (
        client.audio.transcriptions.create(
            model="whisper-1", file=uploaded(spoken["prompt"]), response_format="verbose_json"
        )
        for client in (mini_client, theirs)
    )
    assert (vllms.text, vllms.language) == (ours.text, ours.language)


def test_a_json_schema(theirs: openai.OpenAI, mini_client: openai.OpenAI, spoken: dict[str, Waveform]):
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": True}}
    told = asked(spoken["prompt"], response_format=form)
    said = json.loads(theirs.chat.completions.create(**told).choices[0].message.content or "")
    assert said in ({"answer": "yes"}, {"answer": "no"})
    with pytest.raises(openai.BadRequestError, match="engine native cannot hold an answer to a JSON schema"):
        mini_client.chat.completions.create(**told)
    with pytest.raises(ValueError, match="Expecting value"):  # negative control: it says something else of itself
        json.loads(theirs.chat.completions.create(**asked(spoken["prompt"])).choices[0].message.content or "")


def test_refusals_are_answers_of_400(theirs: openai.OpenAI, spoken: dict[str, Waveform]):
    broken = {"type": "json_schema", "json_schema": {"name": "reply", "schema": {"type": "nonsense"}}}
    for more, sentence in (
        ({"response_format": broken}, "vLLM refuses the request: |answered 400 to model"),
        ({"max_tokens": 100000}, "too long|answered 400"),
        ({"temperature": 0.001}, "raises a temperature below"),
    ):
        with pytest.raises(openai.BadRequestError, match=sentence):
            theirs.chat.completions.create(**asked(spoken["prompt"], **more))


def test_a_client_that_leaves_frees_its_place(theirs: openai.OpenAI, spoken: dict[str, Waveform]):
    """More vanish than vLLM answers at once; a thousand tokens each would take minutes."""
    long = {"max_tokens": 1000, "extra_body": {"min_tokens": 900}}
    for _ in range(6):
        with theirs.chat.completions.create(**asked(spoken["prompt"], **long), stream=True) as chunks:
            next(chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content)
    start = time.monotonic()
    assert theirs.chat.completions.create(**asked(spoken["prompt"])).choices[0].message.content
    assert time.monotonic() - start < 60


@pytest.fixture(scope="module")
def native(mini_checkpoint: Checkpoint) -> NativeEngine:
    return NativeEngine(mini_checkpoint)


def requests(spoken: dict[str, Waveform]) -> list[Request]:
    question = Message("user", (Audio(), "And then? ", Audio(), "What is said?"))
    return [
        *(Request(RECOGNISE, (waveform,)) for waveform in spoken.values()),
        Request((question,), (spoken["prompt"], spoken["long"])),
        Request(RawPrompt(("Compare: ", Audio(), " with ", Audio())), (spoken["librivox"], spoken["prompt"])),
    ]


def assert_same(ours: list[Answer], others: list[Answer]) -> None:
    for one, other in zip(ours, others, strict=True):
        facts = [(a.text, a.num_prompt_tokens, a.num_tokens, a.finish_reason) for a in (one, other)]
        assert facts[0] == facts[1]
        assert other.logprob == pytest.approx(one.logprob, abs=0.01)
        assert [token.text for token in other.tokens] == [token.text for token in one.tokens]


def test_raw_prompts_on_a_vllm_server(behind: str, native: NativeEngine, spoken: dict[str, Waveform]):
    """Word for word: the same tokens, also of recordings longer than a window."""
    sampling = Sampling(max_new_tokens=24, logprobs=1)
    expected = list(native.generate(requests(spoken), sampling))
    assert len({answer.num_prompt_tokens for answer in expected}) == len(expected)
    engine = open_engine("mini", engine=f"{behind}/v1")
    assert_same(expected, list(engine.generate(requests(spoken), sampling)))
    assert "".join(engine.stream(requests(spoken)[0], sampling)) == expected[0].text
    service = UpstreamService([f"{behind}/v1"], model="mini")
    try:
        assert_same(expected, list(Session(service).generate(requests(spoken), sampling)))
    finally:
        service.close()


def test_scores_on_a_vllm_server(behind: str, native: NativeEngine, spoken: dict[str, Waveform]):
    engine = open_engine("mini", engine=f"{behind}/v1")
    tags = [" <|en|>", " <|de|>", " <|fr|>", ""]
    raw = Request(RawPrompt((Audio(), "Detect the language and recognize the speech:")), (spoken["prompt"],))
    chat = Request((Message("user", (Audio(), "What is said?")),), (spoken["long"],))
    for request, texts in ((raw, tags), (chat, ["Your call", "A bell"])):
        expected = native.score(request, texts)
        assert engine.score(request, texts) == pytest.approx(expected, abs=1e-3)
        assert exp(expected[0]) > exp(expected[1])


def test_vllms_own_flags_are_read_by_its_own_parser(model: Path):
    lists = {
        "none": [],
        "many machines": ["-tp", "4", "--pipeline-parallel-size=2", "--distributed-executor-backend", "ray"],
        "numbers": ["--gpu_memory_utilization", "0.5", "--quantization", "fp8", "--kv-cache-dtype", "fp8"],
        "ours": ["--max-num-seqs", "3", "--max_model_len", "1k", "--no-enforce-eager"],
        "--dtype": ["--dtype", "half"],
        "--model": ["--model", "other"],
        "--generation-config": ["--generation-config", "auto"],
        "unknown": ["--nonsense", "3"],
        "abbreviated": ["--tensor-parallel", "2"],
        "broken": ["-tp", "two"],
        "too long": ["--max-model-len", "99999"],
    }
    command = [vllm_python(), Path(__file__).with_name("vllm_flags.py"), model, json.dumps(list(lists.values()))]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    told = dict(zip(lists, json.loads(done.stdout.splitlines()[-1]), strict=True))
    plain = told["none"]
    assert (plain["max_num_seqs"], plain["max_model_len"], plain["enforce_eager"]) == ("5", "8192", "True")
    assert (plain["model"], plain["dtype"], plain["generation_config"]) == (str(model), "torch.float32", "vllm")
    many = {"tensor_parallel_size": "4", "pipeline_parallel_size": "2", "distributed_executor_backend": "ray"}
    numbers = {"gpu_memory_utilization": "0.5", "quantization": "fp8", "kv_cache_dtype": "fp8"}
    ours = {"max_num_seqs": "3", "max_model_len": "1000", "enforce_eager": "False"}
    assert told["many machines"] == plain | many
    assert told["numbers"] == plain | numbers
    assert told["ours"] == plain | ours
    for name in ("--dtype", "--model", "--generation-config"):
        assert f"vLLM's flag {name} is Auricle's to give" in told[name]
    for name in ("unknown", "abbreviated", "broken"):
        assert "vLLM does not take these flags: " in told[name]
    assert "vLLM cannot start with --max-model-len 99999: " in told["too long"]
