"""What the official client gets from a chat: the words that the library itself says to the same conversation."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from serving import Running, ScriptedService

from auricle import units
from auricle.assistant import Assistant
from auricle.audio import load
from auricle.conversation import Audio, Message, Sampling
from auricle.engines import NativeEngine, Request
from auricle.weights import Checkpoint

EXAMPLES = Path(__file__).parents[2] / "examples" / "recordings"
Scripted = Callable[..., tuple[ScriptedService, openai.OpenAI]]


def sound(file: bytes, form: str = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(file).decode(), "format": form}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def streamed(client: openai.OpenAI, **request: Any) -> str:
    with client.chat.completions.create(model="any", stream=True, **request) as chunks:
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


CONVERSATIONS: dict[str, Callable[[Path, Path], tuple[list[dict[str, Any]], list[Message], list[Path]]]] = {
    "one recording": lambda one, two: (
        [{"role": "user", "content": [sound(one.read_bytes()), text("What is said?")]}],
        [Message("user", (Audio(), "What is said?"))],
        [one],
    ),
    "text alone": lambda one, two: (
        [{"role": "user", "content": "Who are you?"}],
        [Message("user", ("Who are you?",))],
        [],
    ),
    "several turns": lambda one, two: (
        [
            {"role": "developer", "content": [text("Be brief"), text(".")]},
            {"role": "user", "content": [text("Listen: "), sound(one.read_bytes())]},
            {"role": "assistant", "content": "I do.", "refusal": None, "tool_calls": None},
            {"role": "user", "content": "What is said?"},
        ],
        [
            Message("system", ("Be brief", ".")),
            Message("user", ("Listen: ", Audio())),
            Message("assistant", ("I do.",)),
            Message("user", ("What is said?",)),
        ],
        [one],
    ),
    "several recordings": lambda one, two: (
        [
            {"role": "user", "content": [sound(one.read_bytes()), sound(two.read_bytes()), text("Compare")]},
            {"role": "assistant", "content": [text("They "), {"type": "refusal", "refusal": "differ."}]},
            {"role": "user", "content": [sound(one.read_bytes(), "flac")]},
        ],
        [
            Message("user", (Audio(), Audio(), "Compare")),
            Message("assistant", ("They ", "differ.")),
            Message("user", (Audio(),)),
        ],
        [one, two, one],
    ),
}


def require_same(client: openai.OpenAI, checkpoint: Checkpoint, name: str, one: Path, two: Path) -> str:
    asked, turns, recordings = CONVERSATIONS[name](one, two)
    engine, sampling = NativeEngine(checkpoint), Sampling(max_new_tokens=24)
    wanted = Assistant(engine).answer(turns, recordings, sampling=sampling)
    [alone] = engine.generate([Request(tuple(turns), tuple(map(load, recordings)))], sampling)
    whole = client.chat.completions.create(model="any", messages=asked, max_tokens=24)
    [choice] = whole.choices
    assert choice.message.content.strip() == wanted.text
    assert (choice.finish_reason, whole.usage.completion_tokens) == (wanted.finish_reason, wanted.num_tokens)
    assert whole.usage.prompt_tokens == alone.num_prompt_tokens
    assert streamed(client, messages=asked, max_tokens=24) == choice.message.content
    return wanted.text


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_chat_says_what_the_library_says(
    client: openai.OpenAI, checkpoint: Checkpoint, recordings: list[Path], name: str
):
    assert require_same(client, checkpoint, name, recordings[0], recordings[1])


@pytest.mark.slow
@pytest.mark.mini
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_chat_with_the_embedded_model_says_what_the_library_says(
    mini_client: openai.OpenAI, mini_checkpoint: Checkpoint, name: str
):
    said = require_same(mini_client, mini_checkpoint, name, EXAMPLES / "prompt.flac", EXAMPLES / "librivox.flac")
    if name == "one recording":
        assert said.startswith("Your call is now first in line.")


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_engine_is_asked_what_was_sent(scripted: Scripted, recordings: list[Path], name: str):
    """The turns as they came, nothing added: the default system message is the template's business."""
    service, client = scripted()
    asked, turns, heard = CONVERSATIONS[name](recordings[0], recordings[1])
    client.chat.completions.create(model="any", messages=asked)
    [(request, _)] = service.asked
    assert request.prompt == tuple(turns)
    for got, path in zip(request.audios, heard, strict=True):
        np.testing.assert_array_equal(got.samples, load(path).samples)


@pytest.mark.parametrize(
    ("context", "settings", "status", "said"),
    [
        (75, {}, 400, "longer than 3 s, the model's whole context of 75 tokens"),
        (75, {"max_duration_s": 2.9}, 413, "longer than 2.9 s, the most this server takes"),
        (None, {"max_duration_s": 3}, 413, "longer than 3 s, the most this server takes"),
    ],
)
def test_recordings_beyond_the_context_are_not_kept_in_memory(
    serve: Callable[..., Running],
    openai_client: Callable[..., openai.OpenAI],
    recordings: list[Path],
    context: int | None,
    settings: dict[str, Any],
    status: int,
    said: str,
):
    """The first of them alone would do; it is their sum that counts."""
    service = ScriptedService()
    service.max_model_len = context
    client = openai_client(serve(service, **settings))
    parts = [sound(recordings[0].read_bytes()), sound(recordings[1].read_bytes())]
    assert client.chat.completions.create(model="x", messages=[{"role": "user", "content": parts[1:]}])
    with pytest.raises(openai.APIStatusError, match=said) as caught:
        client.chat.completions.create(model="x", messages=[{"role": "user", "content": parts}])
    assert (caught.value.status_code, caught.value.param) == (status, "messages[0].content[1].input_audio.data")


def test_answers_depend_on_what_is_heard(client: openai.OpenAI, recordings: list[Path]):
    """Without which the tests above could pass deaf."""
    asked = [[{"role": "user", "content": [sound(path.read_bytes()), text("What?")]}] for path in recordings]
    said = {
        client.chat.completions.create(model="any", messages=one, max_tokens=12).choices[0].message.content
        for one in asked
    }
    assert len(said) == 3


@pytest.mark.parametrize("duration_s", [0.03, 1.0, 30.0, 30.01, 70.5])
def test_sound_is_counted_as_the_prompt_holds_it(
    server: Running,
    client: openai.OpenAI,
    encode_audio: Callable[..., bytes],
    noise: Callable[..., np.ndarray],
    duration_s: float,
):
    """The rest of the prompt does not depend on the recording: what a longer one adds is its own tokens."""
    file = encode_audio(noise(duration_s)[None], container="wav", codec="pcm_s16le", rate=16000)
    short = encode_audio(noise(0.03)[None], container="wav", codec="pcm_s16le", rate=16000)

    def usage(recording: bytes) -> Any:
        asked = [{"role": "user", "content": [sound(recording), text("What?")]}]
        return client.chat.completions.create(model="any", messages=asked, max_tokens=1).usage

    got, least = usage(file), usage(short)
    assert (least.prompt_tokens_details.audio_tokens, least.completion_tokens) == (1, 1)
    audio_tokens = got.prompt_tokens_details.audio_tokens
    assert audio_tokens - 1 == got.prompt_tokens - least.prompt_tokens
    assert got.prompt_tokens_details.text_tokens + audio_tokens == got.prompt_tokens
    assert got.total_tokens == got.prompt_tokens + got.completion_tokens
    assert abs(audio_tokens - duration_s * units.TOKENS_PER_S) <= 3


def test_every_container_is_heard(
    client: openai.OpenAI, encode_audio: Callable[..., bytes], sine: Callable[..., np.ndarray]
):
    for container, codec, rate in (("mp3", "libmp3lame", 22050), ("ogg", "libopus", 48000), ("wav", "pcm_s16le", 8000)):
        file = encode_audio(sine(1.0, rate=rate)[None], container=container, codec=codec, rate=rate)
        asked = [{"role": "user", "content": [sound(file, container)]}]
        usage = client.chat.completions.create(model="any", messages=asked, max_tokens=1).usage
        assert 23 <= usage.prompt_tokens_details.audio_tokens <= 27


def test_base64_may_be_broken_into_lines(server: Running, recordings: list[Path]):
    part = sound(recordings[0].read_bytes())
    part["input_audio"]["data"] = base64.encodebytes(recordings[0].read_bytes()).decode()
    with server.http() as http:
        body = {"messages": [{"role": "user", "content": [part]}], "max_tokens": 1}
        assert http.post("/v1/chat/completions", json=body).status_code == 200


def test_a_data_url_is_heard_as_the_same_recording(client: openai.OpenAI, recordings: list[Path]):
    data = base64.b64encode(recordings[1].read_bytes()).decode()
    parts = [
        sound(recordings[1].read_bytes()),
        {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{data}"}},
    ]
    said = {
        client.chat.completions.create(
            model="any", messages=[{"role": "user", "content": [part]}], max_tokens=12
        ).choices[0].message.content
        for part in parts
    }  # fmt: skip
    assert len(said) == 1


def test_log_probabilities_are_those_of_the_engine(
    client: openai.OpenAI, checkpoint: Checkpoint, recordings: list[Path]
):
    asked, turns, heard = CONVERSATIONS["one recording"](recordings[0], recordings[1])
    [wanted] = NativeEngine(checkpoint).generate(
        [Request(tuple(turns), tuple(map(load, heard)))], Sampling(max_new_tokens=9, logprobs=3)
    )
    whole = client.chat.completions.create(model="any", messages=asked, max_tokens=9, logprobs=True, top_logprobs=3)
    got = whole.choices[0].logprobs.content
    assert [token.token for token in got] == [token.text for token in wanted.tokens]
    assert [token.logprob for token in got] == pytest.approx([token.logprob for token in wanted.tokens], abs=1e-4)
    assert [[other.token for other in token.top_logprobs] for token in got] == [
        [name for name, _ in token.top] for token in wanted.tokens
    ]
    assert all(token.bytes is None or bytes(token.bytes).decode() == token.token for token in got)
    plain = client.chat.completions.create(model="any", messages=asked, max_tokens=2, logprobs=True)
    assert [token.top_logprobs for token in plain.choices[0].logprobs.content] == [[], []]
    assert client.chat.completions.create(model="any", messages=asked, max_tokens=2).choices[0].logprobs is None


def test_a_name_that_clients_send_by_default_is_answered_under_it(scripted: Scripted):
    _, client = scripted(settings={"model_name": "own"})
    asked = {"messages": [{"role": "user", "content": "x"}]}
    assert client.chat.completions.create(model="gpt-4o-audio-preview", **asked).model == "gpt-4o-audio-preview"
    assert client.post("/chat/completions", body=asked, cast_to=dict)["model"] == "own"
