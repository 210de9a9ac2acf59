"""The facade's own work, with an engine that says what the test wants: windows joined, tags taken off, order kept."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from auricle import Assistant, Sampling, UserError
from auricle.audio import Waveform
from auricle.conversation import Answer, Audio, FinishReason, Message, RawPrompt
from auricle.engines import Request

Noise = Callable[..., np.ndarray]
ASKED = "*Detect the language and recognize the speech:"


class Scripted:
    """Answers from a list, one after another, reading `ahead` requests at a time as a batching engine does."""

    def __init__(self, *texts: str, reasons: tuple[FinishReason, ...] = (), ahead: int = 1) -> None:
        self.answers = [
            Answer(text, 10, 2, reason, -1.0)
            for text, reason in zip(texts, reasons or ("stop",) * len(texts), strict=True)
        ]
        self.ahead = ahead
        self.requests: list[Request] = []
        self.samplings: list[Sampling] = []

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        self.samplings.append(sampling)
        requests = iter(requests)
        while batch := list(islice(requests, self.ahead)):
            self.requests += batch
            yield from (self.answers.pop(0) for _ in batch)

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        self.requests.append(request)
        self.samplings.append(sampling)
        yield from self.answers.pop(0).text

    @property
    def prompts(self) -> list[str]:
        """What the user's turn of each request says, a recording shown as *."""
        turns = [
            request.prompt.content if isinstance(request.prompt, RawPrompt) else request.prompt[0].content
            for request in self.requests
        ]
        return ["".join("*" if isinstance(part, Audio) else part for part in turn) for turn in turns]


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_windows_are_joined_and_the_order_is_kept(ahead: int, noise: Noise):
    engine = Scripted("one", " two ", "", "three", "four", ahead=ahead)
    short, long, last = (noise(1), 16000), (noise(65), 16000), (noise(2), 16000)
    results = Assistant(engine).transcribe([short, long, last])
    assert [result.text for result in results] == ["one", "two three", "four"]
    assert [result.duration_s for result in results] == [1, 65, 2]
    assert [result.num_tokens for result in results] == [2, 6, 2]
    heard = np.concatenate([request.audios[0].samples for request in engine.requests[1:4]])
    np.testing.assert_array_equal(heard, long[0])
    assert all(request.audios[0].duration_s <= 30 for request in engine.requests)


def test_one_recording_one_result_a_list_a_list(noise: Noise):
    recording = (noise(1), 16000)
    assert Assistant(Scripted("a")).transcribe(recording).text == "a"
    assert [result.text for result in Assistant(Scripted("a")).transcribe([recording])] == ["a"]
    assert Assistant(Scripted()).transcribe([]) == []
    assert Assistant(Scripted("b")).ask("Q?", recording).text == "b"
    assert [result.text for result in Assistant(Scripted("b", "c")).ask("Q?", [recording] * 2)] == ["b", "c"]
    assert Assistant(Scripted()).ask("Q?", []) == []


@pytest.mark.parametrize(
    ("language", "said", "text", "named", "asked"),
    [
        ("auto", "<|fr|> Bonjour.", "Bonjour.", "fr", ASKED),
        ("auto", " <|yue|>nei hou", "nei hou", "yue", ASKED),
        ("auto", "Bonjour.", "Bonjour.", None, ASKED),
        ("auto", "<|FR|>Bonjour.", "<|FR|>Bonjour.", None, ASKED),
        ("auto", "Say <|en|> twice <|de|>", "Say <|en|> twice <|de|>", None, ASKED),
        ("en", "<|en|>Hello", "Hello", "en", f"{ASKED} <|en|>"),
        ("de", "Hallo", "Hallo", "de", f"{ASKED} <|de|>"),
    ],
)
def test_language(language: str, said: str, text: str, named: str | None, asked: str, noise: Noise):
    engine = Scripted(said)
    result = Assistant(engine).transcribe((noise(1), 16000), language=language)
    assert (result.text, result.language) == (text, named)
    assert engine.prompts == [asked]


def test_language_of_many_windows_is_the_first_named(noise: Noise):
    engine = Scripted("and", "<|es|>uno", "<|fr|>deux")
    result = Assistant(engine).transcribe((noise(65), 16000), language="auto")
    assert (result.text, result.language) == ("and uno deux", "es")


@pytest.mark.parametrize("language", ["english", "EN", "e", "", "en-GB", "<|en|>"])
def test_unknown_language_is_refused(language: str, noise: Noise):
    with pytest.raises(UserError, match=r"unknown language .*: expected an ISO code such as en or yue, or auto"):
        Assistant(Scripted("a")).transcribe((noise(1), 16000), language=language)


def test_one_window_cut_off_makes_the_result_cut_off(noise: Noise):
    engine = Scripted("a", "b", "c", reasons=("stop", "length", "stop"))
    assert Assistant(engine).transcribe((noise(65), 16000)).finish_reason == "length"
    assert Assistant(Scripted("a", "b", "c")).transcribe((noise(65), 16000)).finish_reason == "stop"


def test_ask_puts_the_whole_recording_before_the_question(noise: Noise):
    engine = Scripted(" An answer. ")
    result = Assistant(engine).ask("Who speaks?", (noise(65), 16000))
    assert (result.text, result.duration_s, result.path) == ("An answer.", 65, None)
    assert engine.requests[0].prompt == (Message("user", (Audio(), "Who speaks?")),)
    assert [audio.duration_s for audio in engine.requests[0].audios] == [65]


def test_ask_with_text_alone():
    engine = Scripted("Paris.")
    result = Assistant(engine).ask("Capital of France?")
    assert (result.text, result.path, result.duration_s) == ("Paris.", None, 0.0)
    assert engine.requests == [Request((Message("user", ("Capital of France?",)),))]


@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question_is_refused(question: str):
    for ask in (Assistant(Scripted("a")).ask, Assistant(Scripted("a")).stream):
        with pytest.raises(UserError, match="the question is empty"):
            ask(question)


def test_settings_reach_the_engine(noise: Noise):
    sampling = Sampling(temperature=0.7, top_p=0.5, max_new_tokens=3, seed=1)
    engine = Scripted("a", "b", "c", "d")
    assistant, recording = Assistant(engine), (noise(1), 16000)
    assistant.transcribe(recording, sampling=sampling)
    assistant.ask("Q?", recording, sampling=sampling)
    assistant.ask("Q?", sampling=sampling)
    "".join(assistant.stream("Q?", recording, sampling=sampling))
    assert engine.samplings == [sampling] * 4
    greedy = Scripted("a")
    Assistant(greedy).transcribe(recording)
    assert greedy.samplings[0].temperature == 0


def test_paths_are_reported_bytes_and_arrays_are_not(recordings: list[Path]):
    path = recordings[0]
    results = Assistant(Scripted(*"abc")).transcribe([path, str(path), path.read_bytes()])
    assert [result.path for result in results] == [str(path), str(path), None]


@pytest.mark.parametrize("ahead", [1, 8])
def test_a_recording_that_cannot_be_heard_costs_no_earlier_answer(ahead: int, tmp_path: Path, recordings: list[Path]):
    files = [*recordings[:2], tmp_path / "missing.wav", recordings[2]]
    for start in ("transcribe", "ask"):
        assistant = Assistant(Scripted(*"abcd", ahead=ahead))
        results = assistant.transcribe_each(files) if start == "transcribe" else assistant.ask_each("Q?", files)
        assert [next(results).text, next(results).text] == ["a", "b"]
        with pytest.raises(UserError, match=r"no such file: .*missing\.wav"):
            next(results)


def test_results_come_before_later_recordings_are_read(noise: Noise):
    read: list[int] = []

    def recordings() -> Iterator[tuple[np.ndarray, int]]:
        for index in range(3):
            read.append(index)
            yield noise(1), 16000

    results = Assistant(Scripted(*"abc")).transcribe_each(recordings())
    assert next(results).text == "a"
    assert read == [0]


def test_a_waveform_is_heard_as_it_is(noise: Noise):
    engine = Scripted("a")
    samples = noise(1)
    Assistant(engine).transcribe((samples, 16000))
    assert isinstance(engine.requests[0].audios[0], Waveform)
    np.testing.assert_array_equal(engine.requests[0].audios[0].samples, samples)
