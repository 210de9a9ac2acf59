"""What live voice asks of the engine: transcripts, answers, and answers to conversations that are too long."""

from pathlib import Path

import numpy as np
import pytest
from serving import ScriptedService

from auricle import units
from auricle.audio import Waveform, load
from auricle.conversation import Message, RawPrompt, Sampling
from auricle.engines import Session
from auricle.errors import ContextError
from auricle.serve.live.conversation import Item, ways
from auricle.serve.live.jobs import Answered, Heard, LeftOut, Respond, Said, Transcribe, reports
from auricle.serve.live.schema import Transcription

SPEECH = Path(__file__).parents[2] / "examples/recordings/prompt.flac"


class Cramped(ScriptedService):
    """A model whose context holds so many letters of text, answer included."""

    num_letters = 40

    def submit(self, request, sampling, index=0):
        said = sum(len(part) for message in request.prompt for part in message.content if isinstance(part, str))
        if said + sampling.max_new_tokens > self.num_letters:
            raise ContextError("the conversation is too long", self.num_letters - said)
        return super().submit(request, sampling, index)


def turns(*texts: str) -> tuple[Item, ...]:
    return tuple(Item("assistant" if place % 2 else "user", (text,), id=text[:1]) for place, text in enumerate(texts))


def respond(items, *, num_tokens=10, may_forget=True, may_be_shorter=True) -> Respond:
    return Respond(items, None, Sampling(max_new_tokens=num_tokens), may_forget, may_be_shorter)


def asked_texts(service: ScriptedService) -> list[str]:
    [(request, _)] = service.asked
    return [part for message in request.prompt for part in message.content]


CONVERSATION = turns("a" * 10, "b" * 10, "c" * 10, "d" * 10, "e" * 10)


def test_an_answer_comes_in_pieces_and_ends_with_its_counts():
    service, heard = ScriptedService(), Waveform(np.zeros(2 * units.SAMPLE_RATE, np.float32))
    job = respond((Item("user", (heard, "What is it?")),))
    *pieces, last = reports(job, Session(service))
    assert pieces == [Said(job.id, text) for text in service.pieces]
    assert isinstance(last, Answered)
    assert last.num_audio_tokens == 50
    assert last.answer.text == "Hello, world."


def test_a_conversation_that_fits_is_asked_whole():
    service = Cramped()
    service.num_letters = 60
    assert not [report for report in reports(respond(CONVERSATION), Session(service)) if isinstance(report, LeftOut)]
    assert len(asked_texts(service)) == 5


def test_the_oldest_turns_are_left_out_until_the_context_holds_the_rest():
    service = Cramped()
    got = list(reports(respond(CONVERSATION), Session(service)))
    assert got[0] == LeftOut(got[0].job_id, ("a", "b"))
    assert asked_texts(service) == ["c" * 10, "d" * 10, "e" * 10]


def test_without_leave_to_forget_a_conversation_too_long_is_refused():
    with pytest.raises(ContextError, match="too long"):
        list(reports(respond(CONVERSATION, may_forget=False, may_be_shorter=False), Session(Cramped())))


@pytest.mark.parametrize("may_be_shorter", [True, False])
def test_the_last_turn_alone_gets_the_tokens_that_are_left_unless_the_client_named_a_number(may_be_shorter):
    service = Cramped()
    job = respond(CONVERSATION, num_tokens=100, may_be_shorter=may_be_shorter)
    if may_be_shorter:
        got = list(reports(job, Session(service)))
        assert got[0] == LeftOut(job.id, ("a", "b", "c", "d"))
        assert service.asked[0][1].max_new_tokens == 30
    else:
        with pytest.raises(ContextError, match="too long"):
            list(reports(job, Session(service)))


def test_ways_leave_out_whole_turns_and_keep_what_the_system_says():
    items = (Item("system", ("be kind",)), *turns(*"abcdefghi"))
    found = list(ways(items, None))
    assert [way.left_out for way in found] == [(), ("a", "b"), tuple("abcd"), tuple("abcdefgh")]
    assert {way.request.prompt[0] for way in found} == {Message("system", ("be kind",))}
    assert found[-1].request.prompt[1:] == (Message("user", ("i",)),)


def test_a_transcript_is_asked_for_in_its_language_after_its_prompt():
    service = ScriptedService(pieces=["hola"])
    job = Transcribe(load(SPEECH), Transcription(language="es", prompt="Names: Ana."), "item")
    [report] = reports(job, Session(service))
    assert isinstance(report, Heard)
    assert report.result.text == "hola"
    [(request, _)] = service.asked
    assert isinstance(request.prompt, RawPrompt)
    assert "<|es|>" in request.prompt.content[-1]
    assert "Names: Ana." in request.prompt.content[0]
