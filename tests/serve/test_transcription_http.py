"""The official client asks a running server for transcripts; a scripted model says how much sound it heard."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import numpy as np
import openai
import pytest
import srt
import webvtt
from serving import Running, ScriptedService, until
from transcription_fixtures import PAUSE_S, heard, hearing_server, multipart, part, speech, spoken, wav

from auricle.assistant import Assistant, Result, render_format
from auricle.conversation import RawPrompt
from auricle.engines import Session
from auricle.serve.speech.schemas import TranscriptionForm, TranslationForm

TWO = wav(spoken(2))
FORM = {"Content-Type": "multipart/form-data; boundary=B"}


@pytest.fixture(scope="module")
def hearing() -> Iterator[tuple[Running, ScriptedService]]:
    with hearing_server(max_upload_mb=2, max_duration_s=8) as started:
        yield started


@pytest.fixture
def running(hearing: tuple[Running, ScriptedService]) -> Iterator[Running]:
    started, service = hearing
    service.asked.clear()
    yield started
    until(lambda: started.gateway.admission.running == 0)  # every visit has been left


@pytest.fixture
def service(hearing: tuple[Running, ScriptedService], running: Running) -> ScriptedService:
    return hearing[1]


@pytest.fixture(scope="module")
def audio(hearing: tuple[Running, ScriptedService]) -> Iterator[Any]:
    with hearing[0].openai() as client:
        yield client.audio


@pytest.fixture(scope="module")
def expected() -> Result:
    """What the assistant says to the same recording without a server."""
    return Assistant(Session(ScriptedService(said=heard))).transcribe(TWO, language="en")


def test_json_and_its_usage(audio: Any, running: Running, expected: Result):
    said = audio.transcriptions.create(file=("two.wav", TWO), model="whisper-1", language="en")
    assert said.text == expected.text
    assert said.text.count("Heard") == 2
    assert said.usage.type == "duration"
    assert said.usage.seconds == pytest.approx(expected.duration_s, abs=1e-3) == len(spoken(2)) / 16000
    assert said.logprobs is None


def test_text_is_the_one_line_of_json(audio: Any, expected: Result):
    raw = audio.transcriptions.with_raw_response.create(
        file=TWO, model="whisper-1", language="en", response_format="text"
    )
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert raw.parse() == f"{expected.text}\n"
    assert expected.text.count("\n") == 0


@pytest.mark.parametrize(("response_format", "name"), [("srt", "srt"), ("vtt", "vtt")])
def test_texts_are_those_of_the_command(
    audio: Any, running: Running, expected: Result, response_format: Any, name: str
):
    raw = audio.transcriptions.with_raw_response.create(
        file=TWO, model="whisper-1", language="en", response_format=response_format
    )
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert raw.parse() == render_format(expected, name)
    starts = [segment.start_s for segment in expected.segments]
    if name == "srt":
        read = [(cue.start.total_seconds(), cue.content) for cue in srt.parse(raw.parse())]
    else:
        read = [(cue.start_in_seconds, cue.text) for cue in webvtt.from_string(raw.parse())]
    assert [text.replace("\n", " ") for _, text in read] == [segment.text for segment in expected.segments]
    assert [start for start, _ in read] == pytest.approx(starts, abs=1 if name == "vtt" else 2e-3)


def test_verbose_json_says_what_is_known_and_invents_nothing(audio: Any, running: Running, expected: Result):
    said = audio.transcriptions.create(
        file=TWO, model="whisper-1", language="en", response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert isinstance(said, openai.types.audio.TranscriptionVerbose)
    assert (said.task, said.language, said.text) == ("transcribe", "english", expected.text)
    assert said.duration == pytest.approx(expected.duration_s, abs=1e-3)
    assert said.words is None
    for place, (one, segment) in enumerate(zip(said.segments, expected.segments, strict=True)):
        assert (one.id, one.text, one.tokens, one.temperature) == (place, segment.text, [], 0.0)
        assert (one.start, one.end) == pytest.approx((segment.start_s, segment.end_s), abs=1e-3)
        assert one.seek == round(segment.start_s * 100)
        assert one.avg_logprob == segment.logprob != 0
        assert one.compression_ratio == segment.compression_ratio
        assert segment.speech_probability is not None
        assert one.no_speech_prob == pytest.approx(1 - segment.speech_probability, abs=1e-6)
        assert 0 < one.no_speech_prob < 0.5
    assert said.segments[1].start - said.segments[0].end == pytest.approx(PAUSE_S, abs=0.6)


def test_logprobs_are_those_of_every_token_whole_and_streamed(audio: Any, running: Running):
    options = {"file": TWO, "model": "whisper-1", "language": "en", "include": ["logprobs"]}
    said = audio.transcriptions.create(**options)
    assert "".join(token.token for token in said.logprobs) == said.text.replace(". H", ".H")
    assert bytes(map(int, said.logprobs[0].bytes)) == b"Heard"
    assert {token.logprob for token in said.logprobs} == {-0.5}

    *deltas, done = audio.transcriptions.create(stream=True, **options)
    assert [token.token for delta in deltas for token in delta.logprobs] == [token.token for token in said.logprobs]
    assert [token.token for token in done.logprobs] == [token.token for token in said.logprobs]


def test_streamed_deltas_are_the_text(audio: Any, running: Running, expected: Result):
    for response_format in ("json", "text"):
        *deltas, done = audio.transcriptions.create(
            file=TWO, model="whisper-1", language="en", stream=True, response_format=response_format
        )
        assert [event.type for event in deltas] == ["transcript.text.delta"] * 2
        assert done.type == "transcript.text.done"
        assert "".join(event.delta for event in deltas) == done.text == expected.text
        assert done.usage.seconds == pytest.approx(expected.duration_s, abs=1e-3)
        assert done.logprobs is None


def test_a_language_without_spaces_is_streamed_without_them(audio: Any, running: Running):
    *deltas, done = audio.transcriptions.create(file=TWO, model="whisper-1", language="zh", stream=True)
    assert "".join(event.delta for event in deltas) == done.text
    assert ".Heard" in done.text


def test_silence_says_nothing_in_every_format(audio: Any, running: Running, service: ScriptedService):
    silence = wav(np.zeros(40_000, np.float32))
    said = {
        name: audio.transcriptions.create(file=silence, model="whisper-1", response_format=name)
        for name in ("json", "text", "srt", "vtt", "verbose_json")
    }
    assert (said["json"].text, said["text"], said["srt"], said["vtt"]) == ("", "", "", "WEBVTT\n\n")
    assert (said["verbose_json"].segments, said["verbose_json"].language) == ([], "undetermined")
    assert said["verbose_json"].duration == 2.5
    [done] = audio.transcriptions.create(file=silence, model="whisper-1", stream=True)
    assert (done.type, done.text) == ("transcript.text.done", "")
    assert service.asked == []


def test_the_language_is_found_out_unless_it_is_given(audio: Any, running: Running, service: ScriptedService):
    def tags() -> list[str]:
        prompts = [request.prompt for request, _ in service.asked]
        service.asked.clear()
        return [str(prompt.content[-1])[-7:] for prompt in prompts if isinstance(prompt, RawPrompt)]

    service.scores = lambda request, texts: [0.0 if "<|it|>" in text else -9.0 for text in texts]
    options = {"file": TWO, "model": "whisper-1", "response_format": "verbose_json"}
    try:
        assert audio.transcriptions.create(**options).language == "italian"
        assert tags() == [" <|it|>"] * 2
        assert audio.transcriptions.create(**options, language="chinese").language == "chinese"
        assert tags() == [" <|zh|>"] * 2
        assert audio.transcriptions.create(**options, language="xyz").language == "xyz"
        assert tags()[0].endswith("<|xyz|>"[-7:])
    finally:
        service.scores = None


def test_prompt_and_sampling_reach_the_model(audio: Any, running: Running, service: ScriptedService):
    audio.transcriptions.create(
        file=TWO, model="x", language="en", prompt="Names: Ada.", temperature=0.3, extra_body={"seed": 5, "top_k": 7}
    )
    for request, sampling in service.asked:
        assert isinstance(request.prompt, RawPrompt)
        assert str(request.prompt.content[0]) == "Names: Ada.\n"
        assert (sampling.temperature, sampling.seed, sampling.top_k) == (0.3, 5, 7)
    assert len(service.asked) == 2


def test_where_it_is_cut_follows_the_chunking_strategy(audio: Any, running: Running, service: ScriptedService):
    for pause_ms, num_windows in ((1000 * PAUSE_S / 2, 2), (1000 * PAUSE_S * 2, 1)):
        service.asked.clear()
        strategy: Any = {"type": "server_vad", "silence_duration_ms": int(pause_ms)}
        audio.transcriptions.create(file=TWO, model="x", language="en", chunking_strategy=strategy)
        assert len(service.asked) == num_windows


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's word on its own endpoint
def test_translations_are_english_unless_told(audio: Any, running: Running, service: ScriptedService):
    said = audio.translations.create(file=TWO, model="whisper-1")
    assert said.text.count("Heard") == 2
    assert "translate the speech into English:" in str(service.asked[0][0].prompt)
    assert audio.translations.create(file=TWO, model="x", response_format="text") == f"{said.text}\n"
    assert len(list(srt.parse(audio.translations.create(file=TWO, model="x", response_format="srt")))) == 2

    service.asked.clear()
    said = audio.translations.create(
        file=TWO, model="x", response_format="verbose_json", extra_body={"to_language": "de", "language": "fr"}
    )
    assert (said.task, said.language) == ("translate", "german")
    assert "translate the speech into German: <|fr|>" in str(service.asked[0][0].prompt)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"timestamp_granularities": ["word"], "response_format": "verbose_json"}, "timestamp_granularities[]"),
        ({"temperature": 2.0}, "temperature"),
        ({"stream": True, "response_format": "vtt"}, "stream"),
        ({"extra_body": {"langauge": "en"}}, "langauge"),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 2}}, "chunking_strategy.threshold"),
        ({"known_speaker_names": ["a", "b"]}, "known_speaker_names[]"),
        ({"file": b""}, "file"),
        ({"file": ("talk.wav", b"milk, bread, and no sound at all\n" * 99)}, "file"),
        ({"file": ("talk.wav", b"milk, bread, and no sound at all\n" * 99), "stream": True}, "file"),
        ({"prompt": "x" * 5}, None),
    ],
)
def test_what_is_wrong_is_answered_in_openais_shape(
    audio: Any, running: Running, service: ScriptedService, options: dict[str, Any], param: str | None
):
    if param is None:  # the control: the same request without anything wrong
        audio.transcriptions.create(**{"file": TWO, "model": "x", "language": "en", **options})
        return
    with pytest.raises(openai.BadRequestError) as caught:
        audio.transcriptions.create(**{"file": TWO, "model": "x", "language": "en", **options})
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "invalid_request_error"
    assert caught.value.body["param"] == param
    assert service.asked == []


def test_what_is_too_large_or_too_long_is_413(audio: Any, running: Running):
    for file in (b"RIFF" + b"x" * 2_000_001, encode_long()):
        with pytest.raises(openai.APIStatusError) as caught:
            audio.transcriptions.create(file=file, model="x", language="en")
        assert (caught.value.status_code, caught.value.body["param"]) == (413, "file")  # type: ignore[index]


def encode_long() -> bytes:
    """9 s of silence in less than 2 MB."""
    return wav(np.zeros(9 * 16000, np.float32))


@pytest.mark.parametrize("filename", [None, "", "talk.exe", "ä/../東.wav"])
def test_neither_name_nor_type_of_a_file_matter(running: Running, expected: Result, filename: str | None):
    kind = "" if filename is None else "Content-Type: text/html\r\n"
    body = multipart(part("language", "en"), part("file", TWO, filename=filename, more=kind))
    with running.http() as client:
        said = client.post("/v1/audio/transcriptions", content=body, headers=FORM)
    assert said.json()["text"] == expected.text


def test_the_description_names_every_field_and_answers_are_as_described(running: Running):
    with running.http() as client:
        described = client.get("/openapi.json").json()
        for path, form in (("transcriptions", TranscriptionForm), ("translations", TranslationForm)):
            post = described["paths"][f"/v1/audio/{path}"]["post"]
            body = post["requestBody"]["content"]["multipart/form-data"]["schema"]
            names = {field.alias or name for name, field in form.model_fields.items()}
            assert set(body["properties"]) == {"file", *names}
            assert (body["required"], body["additionalProperties"]) == (["file"], False)
            assert "$ref" not in json.dumps(body)
            assert {"200", "400", "413", "429"} <= set(post["responses"])
        for name, value in (("json", "logprobs"), ("verbose_json", None)):
            fields: dict[str, Any] = {"response_format": name, "language": "en"} | (
                {"include[]": value} if value else {}
            )
            said = post_form(client, fields)
            jsonschema_rs.validate(answer_schema(described, 200), said.json())
        refused = post_form(client, {"temperature": "hot"})
        assert refused.status_code == 400
        jsonschema_rs.validate(answer_schema(described, 400), refused.json())
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(answer_schema(described, 200), refused.json())


def post_form(client: httpx.Client, fields: dict[str, Any]) -> httpx.Response:
    return client.post("/v1/audio/transcriptions", data=fields, files={"file": TWO})


def answer_schema(described: dict[str, Any], status: int) -> dict[str, Any]:
    answers = described["paths"]["/v1/audio/transcriptions"]["post"]["responses"][str(status)]["content"]
    return {**answers["application/json"]["schema"], "components": described["components"]}


def test_speech_is_heard_at_all():
    assert np.abs(speech()).max() > 0.1
