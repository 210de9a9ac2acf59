"""What a chat remembers: complete turns, interrupted ones as far as they got, and nothing of a failed one."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from auricle.assistant.chat import Chat, Turn
from auricle.audio import Waveform
from auricle.conversation import Audio, Message, Sampling
from auricle.engines import NativeEngine, Request
from auricle.errors import UserError
from auricle.weights import Checkpoint

from .scripted import Scripted

Noise = Callable[..., np.ndarray]


class Failing(Scripted):
    """Fails in the way the test wants after the last of its texts."""

    def __init__(self, *texts: str, error: BaseException) -> None:
        super().__init__(*texts)
        self.error = error

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        yield from super().stream(request, sampling)
        if not self.answers:
            raise self.error


def spoken(request: Request) -> list[str]:
    """The messages as one text each, a recording shown as *."""
    assert isinstance(request.prompt, tuple)
    return [
        f"{message.role}: " + "".join("*" if isinstance(part, Audio) else part for part in message.content)
        for message in request.prompt
    ]


def test_every_turn_is_answered_with_all_earlier_ones(noise: Noise):
    engine = Scripted("Hi.", "A dog.", "A cat, then a cow.", "No.")
    chat = Chat(engine, system="Be brief.")
    first, second, third = (Waveform(noise(length)) for length in (1, 2, 3))
    assert "".join(chat.say("Hello")) == "Hi."
    assert "".join(chat.say("", [first])) == "A dog."
    assert "".join(chat.say("And here?", [second, third])) == "A cat, then a cow."
    assert "".join(chat.say("Sure?")) == "No."
    lines = [
        *("system: Be brief.", "user: Hello", "assistant: Hi.", "user: *", "assistant: A dog."),
        *("user: **And here?", "assistant: A cat, then a cow.", "user: Sure?"),
    ]
    assert [spoken(request) for request in engine.requests] == [lines[:2], lines[:4], lines[:6], lines]
    heard = [(), (first,), (first, second, third), (first, second, third)]
    assert [request.audios for request in engine.requests] == heard
    assert [turn.answer for turn in chat.turns] == ["Hi.", "A dog.", "A cat, then a cow.", "No."]


def test_a_turn_of_recordings_alone_holds_no_text(noise: Noise):
    engine = Scripted("a")
    "".join(Chat(engine).say(" \n", [(noise(1), 16000)]))
    assert engine.requests[0].prompt == (Message("user", (Audio(),)),)


def test_pieces_come_one_by_one_and_the_turn_when_all_have_come():
    chat = Chat(Scripted("abc"))
    answer = chat.say("Q")
    assert [next(answer), next(answer), next(answer)] == ["a", "b", "c"]
    assert chat.turns == ()
    assert list(answer) == []
    assert chat.turns == (Turn("Q", (), "abc"),)


def test_a_closed_answer_keeps_what_was_said():
    engine = Scripted("abc", "d")
    chat = Chat(engine)
    answer = chat.say("Q")
    next(answer), next(answer)
    answer.close()
    assert chat.turns == (Turn("Q", (), "ab"),)
    "".join(chat.say("R"))
    assert spoken(engine.requests[1]) == ["user: Q", "assistant: ab", "user: R"]


def test_ctrl_c_inside_the_engine_keeps_what_was_said():
    chat = Chat(Failing("ab", error=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        "".join(chat.say("Q"))
    assert chat.turns == (Turn("Q", (), "ab"),)


@pytest.mark.parametrize("end", ["close", "Ctrl-C"])
def test_an_answer_stopped_before_a_word_leaves_nothing(end: str):
    chat = Chat(Failing("", error=KeyboardInterrupt()))
    answer = chat.say("Q")
    if end == "Ctrl-C":
        with pytest.raises(KeyboardInterrupt):
            next(answer)
    answer.close()
    assert chat.turns == ()


@pytest.mark.parametrize("text", ["", "half an ans"])
@pytest.mark.parametrize("error", [UserError("prompt too long"), RuntimeError("a bug")])
def test_an_error_leaves_the_history_as_it_was(text: str, error: Exception):
    chat = Chat(Failing("a", text, error=error))
    "".join(chat.say("Q"))
    before = chat.turns
    with pytest.raises(type(error), match=str(error)):
        "".join(chat.say("R"))
    assert chat.turns == before


def test_an_empty_answer_is_an_answer():
    chat = Chat(Scripted(""))
    assert "".join(chat.say("Q")) == ""
    assert chat.turns == (Turn("Q", (), ""),)


def test_recordings_are_checked_before_the_answer_is_asked_for(tmp_path: Path):
    chat = Chat(Scripted("a"))
    with pytest.raises(UserError, match=r"no such file: .*missing\.wav"):
        chat.say("Q", [tmp_path / "missing.wav"])
    for text in ("", " \n"):
        with pytest.raises(UserError, match="nothing to answer: expected a text, a recording, or both"):
            chat.say(text)


def test_sources_of_every_kind(recordings: list[Path], noise: Noise):
    engine = Scripted("a")
    path = recordings[1]
    "".join(Chat(engine).say("Q", [path, str(path), path.read_bytes(), (noise(1), 16000), Waveform(noise(3))]))
    assert [audio.duration_s for audio in engine.requests[0].audios] == [2.5, 2.5, 2.5, 1, 3]


def test_a_long_recording_warns_once_and_a_trained_length_never(noise: Noise):
    chat = Chat(Scripted(*"abc"))
    "".join(chat.say("Q", [Waveform(noise(30)), Waveform(noise(30))]))
    with pytest.warns(UserWarning, match="lasts 31 s, beyond the 30 s") as caught:
        answer = chat.say("Q", [Waveform(noise(31))])
    assert [warning.filename for warning in caught] == [__file__]
    "".join(answer)
    "".join(chat.say("R"))


def test_undo_and_reset(noise: Noise):
    engine = Scripted(*"abcd")
    chat = Chat(engine, system="Be brief.")
    "".join(chat.say("1", [Waveform(noise(1))]))
    "".join(chat.say("2", [Waveform(noise(2))]))
    assert chat.undo().text == "2"
    "".join(chat.say("3"))
    assert spoken(engine.requests[-1]) == ["system: Be brief.", "user: *1", "assistant: a", "user: 3"]
    assert len(engine.requests[-1].audios) == 1
    chat.reset()
    "".join(chat.say("4"))
    assert spoken(engine.requests[-1]) == ["system: Be brief.", "user: 4"]
    assert engine.requests[-1].audios == ()
    chat.reset()
    with pytest.raises(UserError, match="nothing to undo"):
        chat.undo()


def test_system_and_sampling_may_change_between_turns():
    engine = Scripted(*"abc")
    chat = Chat(engine)
    "".join(chat.say("1"))
    chat.system, chat.sampling = "Rhyme.", Sampling(max_new_tokens=5)
    "".join(chat.say("2"))
    assert spoken(engine.requests[0]) == ["user: 1"]
    assert spoken(engine.requests[1])[0] == "system: Rhyme."
    assert engine.samplings == [engine.defaults, Sampling(max_new_tokens=5)]
    own = Sampling(seed=1, temperature=1.0)
    assert Chat(engine, sampling=own).sampling is own


def test_a_full_context_is_said_and_nothing_is_lost(checkpoint: Checkpoint, noise: Noise):
    """The tiny model holds 4096 tokens: five recordings of 30 s fit, a sixth does not."""
    chat = Chat(NativeEngine(checkpoint), sampling=Sampling(max_new_tokens=2))
    recording = Waveform(noise(30))
    "".join(chat.say("What is said?", [recording] * 5))
    before = chat.turns
    with pytest.raises(UserError, match=re.escape("prompt too long")):
        "".join(chat.say("And here?", [recording]))
    assert chat.turns == before
    assert len(before) == 1
    assert list(chat.say("And?"))
    assert len(chat.turns) == 2
