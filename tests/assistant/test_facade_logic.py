"""Questions and conversations: what the engine is asked, in which order the answers come, which settings hold."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auricle import Assistant, Sampling, UserError
from auricle.assistant import Watch
from auricle.conversation import Audio, Message, RawPrompt
from auricle.engines import Request

from .scripted import Scripted

Noise = Callable[..., np.ndarray]


def test_ask_puts_the_whole_recording_before_the_question(noise: Noise):
    engine = Scripted(" An answer. ")
    with pytest.warns(UserWarning, match="the array lasts 65 s, beyond the 30 s"):
        result = Assistant(engine).ask("Who speaks?", (noise(65), 16000))
    assert (result.text, result.duration_s, result.path) == ("An answer.", 65, None)
    assert engine.requests[0].prompt == (Message("user", (Audio(), "Who speaks?")),)
    assert [audio.duration_s for audio in engine.requests[0].audios] == [65]


def test_ask_with_text_alone():
    engine = Scripted("Paris.")
    result = Assistant(engine).ask("Capital of France?")
    assert (result.text, result.path, result.duration_s) == ("Paris.", None, 0.0)
    assert engine.requests == [Request((Message("user", ("Capital of France?",)),))]


def test_one_recording_one_result_a_list_a_list(noise: Noise):
    recording = (noise(1), 16000)
    assert Assistant(Scripted("b")).ask("Q?", recording).text == "b"
    assert [result.text for result in Assistant(Scripted("b", "c")).ask("Q?", [recording] * 2)] == ["b", "c"]
    assert Assistant(Scripted()).ask("Q?", []) == []


def test_a_system_prompt_comes_first(noise: Noise):
    engine = Scripted("a", "b")
    Assistant(engine).ask("Q?", (noise(1), 16000), system="Be brief.")
    "".join(Assistant(engine).stream("Q?", (noise(1), 16000), system="Be brief."))
    expected = (Message("system", ("Be brief.",)), Message("user", (Audio(), "Q?")))
    assert [request.prompt for request in engine.requests] == [expected, expected]


def test_any_conversation_with_several_recordings(noise: Noise, recordings: list[Path]):
    engine = Scripted("The second.", "x")
    messages = (
        Message("user", (Audio(), "and", Audio(), "Which is longer?")),
        Message("assistant", ("The first.",)),
        Message("user", ("Sure?",)),
    )
    result = Assistant(engine).answer(messages, [recordings[0], (noise(2), 16000)])
    assert (result.text, result.duration_s, result.path) == ("The second.", 3.0, None)
    assert engine.requests[0].prompt == messages
    assert [audio.duration_s for audio in engine.requests[0].audios] == [1.0, 2.0]
    assert Assistant(engine).answer([Message("user", (Audio(),))], [recordings[0]]).path == str(recordings[0])


def test_raw_prompts(recordings: list[Path]):
    engine = Scripted("<caption>", "abc")
    raw = RawPrompt((Audio(), "Generate the caption in English:"))
    assert Assistant(engine).answer(raw, [recordings[0]]).text == "<caption>"
    assert list(Assistant(engine).stream(raw, recordings[0])) == list("abc")
    assert [request.prompt for request in engine.requests] == [raw, raw]


@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question_is_refused(question: str):
    for ask in (Assistant(Scripted("a")).ask, Assistant(Scripted("a")).stream):
        with pytest.raises(UserError, match="the question is empty"):
            ask(question)


@pytest.mark.parametrize("content", [(), ("",), ("", "")])
def test_an_empty_raw_prompt_is_refused(content: tuple[str, ...], recordings: list[Path]):
    for answer in (Assistant(Scripted("a")).answer, lambda prompt, _: Assistant(Scripted("a")).stream(prompt)):
        with pytest.raises(UserError, match="the raw prompt is empty; expected a text, a recording, or both"):
            answer(RawPrompt(content), [])
    assert Assistant(Scripted("a")).answer(RawPrompt((Audio(), *content)), recordings[:1]).text == "a"


def test_the_models_own_settings_hold_unless_others_are_given(noise: Noise):
    engine = Scripted(*"abcdef")
    assistant, recording = Assistant(engine), (noise(1), 16000)
    for settings in (None, replace(assistant.defaults, temperature=0.2, seed=1)):
        assistant.ask("Q?", recording, sampling=settings)
        assistant.ask("Q?", sampling=settings)
        "".join(assistant.stream("Q?", recording, sampling=settings))
    given = replace(engine.defaults, temperature=0.2, seed=1)
    assert engine.samplings == [engine.defaults] * 3 + [given] * 3
    assert engine.defaults != Sampling()


@pytest.mark.parametrize("ahead", [1, 8])
def test_a_recording_that_cannot_be_heard_costs_no_earlier_answer(ahead: int, tmp_path: Path, recordings: list[Path]):
    files = [*recordings[:2], tmp_path / "missing.wav", recordings[2]]
    results = Assistant(Scripted(*"abcd", ahead=ahead)).ask_each("Q?", files)
    assert [next(results).text, next(results).text] == ["a", "b"]
    with pytest.raises(UserError, match=r"no such file: .*missing\.wav"):
        next(results)
    refused: list[str | None] = []
    watch = Watch(refused=lambda path, _: refused.append(path))
    results = Assistant(Scripted(*"abc", ahead=ahead)).ask_each("Q?", files, watch=watch)
    assert [(result.text, result.path) for result in results] == list(zip("abc", map(str, recordings), strict=True))
    assert refused == [str(files[2])]
