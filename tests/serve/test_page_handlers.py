"""What the page's controls do, without a browser: answers, follow-ups, stop, starting anew, a busy server."""

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import srt
from page_fixtures import Desk, every, last, request
from serving import ScriptedService

from auricle.assistant.chat import Turn
from auricle.audio import Waveform, load
from auricle.conversation import Audio, Message, Sampling
from auricle.serve.page.analysis import Analysis
from auricle.serve.page.conversation import Conversation, lines
from auricle.serve.page.memory import Memory
from auricle.serve.page.stay import sentence
from auricle.serve.page.transcription import TRANSCRIBE, TRANSLATE, Transcription
from auricle.serve.wire.errors import ApiError

CHAT, QUESTION, PICTURES, STATUS, PAST = range(5)
TEXT, PICTURE, TOLD, SRT = range(4)
EncodeAudio = Callable[..., bytes]
SPEECH = Path(__file__).parents[2] / "examples" / "recordings" / "librivox.flac"


@pytest.fixture
def recording(tmp_path: Path) -> Callable[[str], str]:
    """Speech as gradio leaves an upload: in a directory of its own in the folder."""

    def upload(name: str) -> str:
        place = tmp_path / "uploads" / f"hash-{name}"
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(SPEECH.read_bytes())
        return str(place / name)

    return upload


@pytest.fixture
def desk(tmp_path: Path) -> Callable[..., Desk]:
    (tmp_path / "uploads").mkdir(exist_ok=True)
    return lambda service=None, **settings: Desk(service or ScriptedService(), tmp_path / "uploads", **settings)


def analysis(desk: Desk) -> Analysis:
    return Analysis(desk.stays, desk.uploads, Memory(), Sampling(temperature=0.7, top_p=0.5))


def test_an_answer_streams_and_the_next_question_remembers(desk: Any, recording: Callable[[str], str]):
    at = desk()
    tab = analysis(at)
    file = recording("a.flac")

    async def talk() -> None:
        first = await every(tab.ask("What?", [file], None, Conversation(), 0.0, 99, request()))
        shown = [update[CHAT][-1]["content"] for update in first if isinstance(update[CHAT], list) and update[CHAT]]
        assert shown[:4] == ["What?\n(1 recording)", "Hello", "Hello,", "Hello, world"]
        assert last(first, QUESTION) == ""
        assert "Log-mel spectrogram of a.flac" in last(first, PICTURES)
        assert "Done." in last(first, STATUS)
        past = last(first, PAST)
        second = await every(tab.ask("And now?", [file], None, past, 1.5, 99, request()))
        assert [line["content"] for line in last(second, CHAT)][2:] == ["And now?", "Hello, world."]

    at.run(talk)
    [(one, greedy), (two, warm)] = at.service.asked
    assert (greedy.temperature, greedy.max_new_tokens, greedy.top_p, warm.temperature) == (0.0, 99, 0.5, 1.5)
    assert one.prompt == (Message("user", (Audio(), "What?")),)
    assert two.prompt == (*one.prompt, Message("assistant", ("Hello, world.",)), Message("user", ("And now?",)))
    assert len(one.audios) == len(two.audios) == 1  # the file was heard once


def test_several_recordings_and_a_recorded_one_are_one_turn(desk: Any, recording: Callable[[str], str]):
    at = desk()
    files = [recording(name) for name in ("a.flac", "b.flac", "c.flac")]
    updates = at.run(lambda: every(analysis(at).ask("Same?", files[:2], files[2], Conversation(), 0, 9, request())))
    assert last(updates, CHAT)[0]["content"] == "Same?\n(3 recordings)"
    assert len(at.service.asked[0][0].audios) == 3
    assert last(updates, PICTURES).count("<figure") == 3


@pytest.mark.parametrize(
    ("question", "with_file", "said"),
    [(" ", True, "Type a question first."), ("Who?", False, "Add a recording first.")],
)
def test_what_is_missing_is_said(desk: Any, recording: Callable[[str], str], question: str, with_file: bool, said: str):
    at = desk()
    files = [recording("a.flac")] if with_file else None
    updates = at.run(lambda: every(analysis(at).ask(question, files, None, Conversation(), 0, 9, request())))
    assert said in last(updates, STATUS)
    assert 'class="alarm"' in last(updates, STATUS)
    assert last(updates, QUESTION) == question
    assert not at.service.asked


def test_a_path_outside_the_uploads_is_not_opened(desk: Any, tmp_path: Path):
    """gradio lets a client name any path where an app is mounted."""
    outside = tmp_path / "secret.flac"
    outside.write_bytes(SPEECH.read_bytes())
    link = tmp_path / "uploads" / "link.flac"
    link.symlink_to(outside)
    at = desk()

    async def ask() -> list[str]:
        told = []
        for path in (outside, link, tmp_path / "uploads" / ".." / "secret.flac", tmp_path / "uploads" / "none.flac"):
            updates = await every(analysis(at).ask("What?", [str(path)], None, Conversation(), 0, 9, request()))
            told.append(last(updates, STATUS))
        return told

    assert all("is not here any more; upload it again" in line for line in at.run(ask))
    assert not at.service.asked


def test_stop_keeps_what_was_said(desk: Any, recording: Callable[[str], str]):
    at = desk(ScriptedService(pieces=("One",) + (" more",) * 500, step_s=0.01))
    tab, seen = analysis(at), []

    async def talk() -> None:
        async for update in tab.ask("Count", [recording("a.flac")], None, Conversation(), 0, 9, request()):
            seen.append(update)
            if isinstance(update[CHAT], list) and update[CHAT] and "One" in update[CHAT][-1]["content"]:
                await tab.stop(request("another"))  # of somebody else: changes nothing
                if len(seen) > 8:
                    await tab.stop(request())

    at.run(talk)
    said = last(seen, CHAT)[-1]["content"]
    assert said.startswith("One more")
    assert len(said) < 100
    assert "Stopped." in last(seen, STATUS)
    assert 'class="calm"' in last(seen, STATUS)
    assert last(seen, PAST).turns[-1].answer == said
    assert at.service.tickets[0].cancelled


def test_asking_again_ends_the_first_answer(desk: Any, recording: Callable[[str], str]):
    at = desk(ScriptedService(pieces=("x",) * 300, step_s=0.01), max_concurrency=1, max_queue=0)
    tab, file = analysis(at), recording("a.flac")

    async def talk() -> list[tuple[Any, ...]]:
        first = asyncio.ensure_future(every(tab.ask("1", [file], None, Conversation(), 0, 9, request())))
        while not at.service.asked:
            await asyncio.sleep(0.01)
        at.service.pieces = ("second",)
        second = await every(tab.ask("2", [file], None, Conversation(), 0, 9, request()))
        assert "Stopped." in last(await first, STATUS)
        return second

    assert "Done." in last(at.run(talk), STATUS)


def test_a_busy_server_is_said_kindly_and_waiting_can_be_stopped(desk: Any, recording: Callable[[str], str]):
    at = desk(max_concurrency=1, max_queue=1)
    tab, file = analysis(at), recording("a.flac")

    async def talk() -> tuple[str, str]:
        async with await at.gateway.enter():
            waiting = asyncio.ensure_future(every(tab.ask("1", [file], None, Conversation(), 0, 9, request("a"))))
            while not at.gateway.admission.waiting:
                await asyncio.sleep(0.01)
            busy = await every(tab.ask("2", [file], None, Conversation(), 0, 9, request("b")))
            at.stays.leave("a")  # the window is closed
            return last(busy, STATUS), last(await waiting, STATUS)

    busy, stopped = at.run(talk)
    assert "The server is busy. Try again in a moment." in busy
    assert "Stopped." in stopped
    assert not at.service.asked


def test_a_cancelled_wait_gives_its_turn_back(desk: Any):
    at = desk(max_concurrency=1, max_queue=5)

    async def talk() -> None:
        async with await at.gateway.enter():
            waiting = asyncio.ensure_future(every(analysis(at).ask("1", ["x"], None, Conversation(), 0, 9, request())))
            while not at.gateway.admission.waiting:
                await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    at.run(talk)


def test_clear_forgets(desk: Any):
    at = desk()
    chat, question, pictures, status, past, files, recorded = at.run(lambda: analysis(at).clear(request()))
    assert (chat, question, pictures, past, files, recorded) == ([], "", "", Conversation(), None, None)
    assert "Cleared." in status


def test_words_are_no_markup_in_the_chat_window():
    shown = lines("<b>a</b> & b", 0, "<img src=x>")
    assert [line["content"] for line in shown] == ["&lt;b&gt;a&lt;/b&gt; &amp; b", "&lt;img src=x&gt;"]


def test_a_conversation_does_not_grow_for_ever():
    minute = Waveform(np.zeros(60 * 16_000, np.float32))
    past = Conversation()
    for number in range(30):
        past = past.with_turn(Turn(str(number), (minute, minute), "yes"), (str(number),))
    assert [turn.text for turn in past.turns] == [str(number) for number in range(20, 30)]
    for number in range(30):
        past = past.with_turn(Turn(str(number), (), "yes"), ())
    assert len(past.turns) == 20


def test_one_long_recording_is_refused_before_it_fills_the_memory(desk: Any, tmp_path: Path, encode_audio: EncodeAudio):
    path = tmp_path / "uploads" / "long.flac"
    path.write_bytes(encode_audio(np.zeros((1, 620 * 8000)), container="flac", codec="flac", rate=8000))
    at = desk()
    updates = at.run(lambda: every(analysis(at).ask("What?", [str(path)], None, Conversation(), 0, 9, request())))
    assert "long.flac is longer than 10 min, too long for a question; transcribe it, or cut it." in last(
        updates, STATUS
    )


def test_a_failure_of_ours_says_nothing_of_its_inside(caplog: pytest.LogCaptureFixture):
    assert sentence(RuntimeError("secret")) == "The server failed on this request; its log says why."
    assert "secret" in caplog.text
    assert sentence(ApiError(503, "the server is stopping")) == "The server is stopping."


def transcription(desk: Desk) -> Transcription:
    return Transcription(desk.stays, desk.uploads, desk.folder)


def test_a_transcript_comes_with_its_files(desk: Any, recording: Callable[[str], str]):
    at = desk(ScriptedService(said=lambda asked, sampling: ["Hello <b>", " there"]))
    path = recording("talk one.flac")
    updates = at.run(lambda: every(transcription(at).start(path, TRANSCRIBE, "de", "English", request())))
    assert "<time>0:00</time> <span>Hello &lt;b&gt; there</span>" in last(updates, TEXT)
    assert "spectrogram of talk one.flac" in last(updates, PICTURE)
    assert "of German." in last(updates, TOLD)
    files = [Path(update["value"]) for update in updates[-1][SRT:]]
    assert [file.name for file in files] == [f"talk one.{name}" for name in ("srt", "vtt", "txt", "json")]
    assert [cue.content for cue in srt.parse(files[0].read_text())] == ["Hello <b> there"]
    assert files[2].read_text() == "Hello <b> there\n"
    told = json.loads(files[3].read_text())
    assert (told["path"], told["language"]) == ("talk one.flac", "de")
    assert "Detect the language and recognize the speech: <|de|>" in str(at.service.asked[0][0].prompt)


def test_a_translation_names_its_language(desk: Any, recording: Callable[[str], str]):
    at = desk()
    at.run(lambda: every(transcription(at).start(recording("a.flac"), TRANSLATE, "fr", "German", request())))
    assert "translate the speech into German: <|fr|>" in str(at.service.asked[0][0].prompt)


def test_a_stopped_transcript_can_be_downloaded(desk: Any, tmp_path: Path, encode_audio: EncodeAudio):
    go = threading.Event()
    at = desk(ScriptedService(pieces=("word",), gate=go, batch_size=1))
    path = tmp_path / "uploads" / "long.flac"
    speech = np.pad(load(SPEECH).samples, (0, 16_000))
    path.write_bytes(encode_audio(np.tile(speech, 40)[None], container="flac", codec="flac", rate=16_000))
    tab, seen = transcription(at), []

    async def talk() -> None:
        go.set()
        async for update in tab.start(str(path), TRANSCRIBE, "en", "English", request()):
            seen.append(update)
            if "word" in str(update[TEXT]):
                go.clear()
                await tab.stop(request())

    at.run(talk)
    assert "Stopped." in last(seen, TOLD)
    subtitles = list(srt.parse(Path(seen[-1][SRT]["value"]).read_text()))
    assert 1 <= len(subtitles) < 30
    assert json.loads(Path(seen[-1][-1]["value"]).read_text())["finish_reason"] == "length"


@pytest.mark.parametrize(("name", "said"), [(None, "Add a recording first."), ("broken.flac", "it holds no sound")])
def test_what_cannot_be_transcribed_offers_no_files(desk: Any, tmp_path: Path, name: str | None, said: str):
    at = desk()
    if name:
        (tmp_path / "uploads" / name).write_bytes(b"RIFF no sound")
    path = name and str(tmp_path / "uploads" / name)
    updates = at.run(lambda: every(transcription(at).start(path, TRANSCRIBE, "en", "English", request())))
    assert said in last(updates, TOLD)
    assert 'class="alarm"' in last(updates, TOLD)
    assert updates[0][SRT] == {"__type__": "update", "value": None, "visible": False}
    assert "value" not in updates[-1][SRT]
