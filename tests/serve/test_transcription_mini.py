"""The embedded model behind the endpoints: the same words as without a server, in every format and from every file."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import srt
import webvtt
from serving import Running, ScriptedService
from transcription_fixtures import EXAMPLES, hearing_server, wav

import auricle
from auricle.assistant import Assistant, Result, render_format
from auricle.audio import load, voice_activity

pytestmark = pytest.mark.slow
FILES = ("prompt.flac", "librivox.flac")


@pytest.fixture(scope="module")
def mini() -> Assistant:
    return auricle.load("mini")


@pytest.fixture(scope="module", params=FILES)
def path(request: pytest.FixtureRequest) -> Path:
    return EXAMPLES / str(request.param)


@pytest.fixture(scope="module")
def expected(mini: Assistant, path: Path) -> Result:
    return mini.transcribe(path, language="en")


def test_five_formats_say_what_the_assistant_says(mini_client: openai.OpenAI, path: Path, expected: Result):
    def said(response_format: Any) -> Any:
        return mini_client.audio.transcriptions.create(
            file=path, model="whisper-1", language="en", response_format=response_format
        )

    assert len(expected.text) > 20
    assert said("json").text == said("verbose_json").text == expected.text
    assert said("text") == render_format(expected, "txt")
    assert said("srt") == render_format(expected, "srt")
    assert said("vtt") == render_format(expected, "vtt")
    words = expected.text.split()
    assert " ".join(cue.content for cue in srt.parse(said("srt"))).split() == words
    assert " ".join(cue.text for cue in webvtt.from_string(said("vtt"))).split() == words
    for one, segment in zip(said("verbose_json").segments, expected.segments, strict=True):
        assert (one.text, one.start, one.end) == (segment.text, round(segment.start_s, 3), round(segment.end_s, 3))
        assert one.avg_logprob == pytest.approx(segment.logprob, abs=1e-3)


def test_streamed_text_is_the_same_and_its_logprobs_are_those_of_the_segments(
    mini_client: openai.OpenAI, path: Path, expected: Result
):
    *deltas, done = mini_client.audio.transcriptions.create(
        file=path, model="whisper-1", language="en", stream=True, include=["logprobs"]
    )
    assert "".join(event.delta for event in deltas) == done.text == expected.text  # type: ignore[union-attr]
    for event, segment in zip(deltas, expected.segments, strict=True):
        logprobs = [token.logprob for token in event.logprobs]  # type: ignore[union-attr]
        assert len(logprobs) == segment.num_tokens
        assert "".join(token.token for token in event.logprobs).strip() == segment.text  # type: ignore[union-attr]
        assert sum(logprobs) / len(logprobs) == pytest.approx(segment.logprob, abs=0.2)


def test_the_language_is_found_out_and_a_prompt_and_a_temperature_are_taken(mini_client: openai.OpenAI):
    path = EXAMPLES / "prompt.flac"
    found = mini_client.audio.transcriptions.create(file=path, model="whisper-1", response_format="verbose_json")
    assert found.language == "english"
    drawn = [
        mini_client.audio.transcriptions.create(
            file=path, model="whisper-1", language="en", temperature=1, extra_body={"seed": seed}
        ).text
        for seed in (1, 1, 2, 3, 4)
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1
    assert mini_client.audio.transcriptions.create(
        file=path, model="whisper-1", language="en", prompt="Telephone."
    ).text


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's word on its own endpoint
def test_translation(mini: Assistant, mini_client: openai.OpenAI):
    path = EXAMPLES / "spanish.flac"
    expected = mini.translate(path, to="English", language="es")
    said = mini_client.audio.translations.create(file=path, model="whisper-1", extra_body={"language": "es"})
    assert said.text == expected.text != ""
    plain = mini_client.audio.translations.create(
        file=path, model="whisper-1", response_format="srt", extra_body={"language": "es"}
    )
    assert plain == render_format(expected, "srt")


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 16000),
        ("wav", "pcm_f32le", 44100),
        ("mp3", "libmp3lame", 44100),
        ("flac", "flac", 16000),
        ("ogg", "libopus", 48000),
        ("ipod", "aac", 44100),
        ("webm", "libopus", 48000),
    ],
)
def test_every_kind_of_file_is_heard(
    mini_client: openai.OpenAI, encode_audio: Callable[..., bytes], container: str, codec: str, rate: int
):
    samples = load(EXAMPLES / "prompt.flac").samples
    places = np.arange(0, len(samples), 16000 / rate)
    resampled = np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
    file = encode_audio(resampled[None], container=container, codec=codec, rate=rate)
    said = mini_client.audio.transcriptions.create(file=file, model="whisper-1", language="en").text
    assert "next available representative" in said


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.fixture
def peak_mb() -> Iterator[Callable[[], float]]:
    """The most memory that this process has held since the test began, more than then."""
    start, peak, done = resident_mb(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], resident_mb() - start)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield lambda: peak[0]
    done.set()
    watcher.join()


def loud(chunk: np.ndarray) -> float:
    return float(np.abs(chunk).max() > 0.02)


def test_two_hours_are_uploaded_decoded_and_heard_in_bounded_memory(
    tmp_path: Path, peak_mb: Callable[[], float], monkeypatch: pytest.MonkeyPatch
):
    """Samples of two hours would take 460 MB as float32, the file itself 230 MB."""
    monkeypatch.setattr(voice_activity, "Silero", lambda: lambda chunks: map(loud, chunks))  # for speed
    speech = load(EXAMPLES / "prompt.flac").samples
    minute = np.zeros(60 * 16000, np.float32)
    minute[: len(speech)] = speech
    header = wav(np.zeros(0, np.float32))
    part = (minute * 32767).astype("<i2").tobytes()
    file = tmp_path / "two hours.wav"
    with file.open("wb") as out:
        out.write(header[:40] + (120 * len(part)).to_bytes(4, "little"))
        for _ in range(120):
            out.write(part)
    service: ScriptedService
    running: Running
    with hearing_server() as (running, service), running.http() as client:
        service.said = lambda request, sampling: ["A", " minute."]

        def events(path: Path) -> list[dict[str, Any]]:
            with path.open("rb") as opened:  # sent in pieces; OpenAI's client would hold the whole file
                said = client.post(
                    "/v1/audio/transcriptions",
                    data={"language": "en", "stream": "true"},
                    files={"file": opened},
                    timeout=500,
                )
            return [json.loads(line.removeprefix("data: ")) for line in said.text.split("\n\n") if line]

        events(EXAMPLES / "prompt.flac")  # warm-up
        before = peak_mb()
        *deltas, done = events(file)
        time.sleep(0.05)
        assert done["usage"]["seconds"] == 7200
        assert len(deltas) >= 120
        assert peak_mb() - before < 100
