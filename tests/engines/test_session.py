"""A client's share of a service: order, errors after answers, and a cancellation that no race escapes."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from auricle.conversation import Answer, RawPrompt, Sampling
from auricle.engines import GivenUpError, Piece, Request, Session, Ticket
from auricle.errors import UserError

LONG_S = 20.0


def request(text: str) -> Request:
    return Request(RawPrompt((text,)))


def answer(text: str) -> Answer:
    return Answer(text, 1, 1, "stop", 0.0)


class Desk:
    """A service whose tickets a test ends by hand."""

    def __init__(self) -> None:
        self.defaults, self.batch_size = Sampling(), 4
        self.tickets: list[tuple[str, int, Ticket]] = []
        self.at_submit = lambda: None

    def submit(self, request: Request, sampling: Sampling, index: int = 0) -> Ticket:
        self.at_submit()
        assert isinstance(request.prompt, RawPrompt)
        text = str(request.prompt.content[0])
        if text == "refused":
            raise UserError("cannot hear it")
        ticket = Ticket()
        self.tickets.append((text, index, ticket))
        return ticket

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        return [1.0] * len(continuations)

    def close(self) -> None:
        raise AssertionError("a session does not close the service")


class Prompt(Desk):
    """Answers at once."""

    def submit(self, request: Request, sampling: Sampling, index: int = 0) -> Ticket:
        ticket = super().submit(request, sampling, index)
        text = self.tickets[-1][0]
        if text == "fails":
            ticket.fail(MemoryError("fails"))
        else:
            ticket.push(Piece(text[:1]))
            ticket.push(Piece(""))
            ticket.push(Piece(text[1:]))
            ticket.finish(answer(text))
        return ticket


def test_answers_in_order_with_their_indices():
    desk = Prompt()
    answers = Session(desk).generate(map(request, "abcde"), Sampling())
    assert [one.text for one in answers] == list("abcde")
    assert [(text, index) for text, index, _ in desk.tickets] == list(zip("abcde", range(5), strict=True))


def test_requests_are_pulled_as_there_is_room():
    pulled: list[str] = []

    def requests() -> Iterator[Request]:
        for text in "abcdef":
            pulled.append(text)
            yield request(text)

    answers = Session(Prompt(), num_in_flight=2).generate(requests(), Sampling())
    assert pulled == []
    for num, _ in enumerate(answers, start=1):
        assert len(pulled) == min(num + 1, 6)


@pytest.mark.parametrize("bad", ["refused", "fails"])
def test_the_answers_before_an_error_come_first(bad: str):
    answers = Session(Prompt()).generate(map(request, ["a", "b", bad, "c"]), Sampling())
    assert [next(answers).text, next(answers).text] == ["a", "b"]
    with pytest.raises((UserError, MemoryError), match=r"cannot hear it|fails"):
        next(answers)


def test_requests_that_end_in_an_error():
    def requests() -> Iterator[Request]:
        yield request("a")
        raise UserError("no more")

    answers = Session(Prompt()).generate(requests(), Sampling())
    assert next(answers).text == "a"
    with pytest.raises(UserError, match="no more"):
        next(answers)


def test_who_stops_listening_gives_the_rest_up():
    desk = Desk()
    answers = Session(desk, num_in_flight=3).generate(map(request, "abcd"), Sampling())
    starter = threading.Thread(target=lambda: next(answers))
    starter.start()
    while len(desk.tickets) < 3:
        pass
    desk.tickets[0][2].finish(answer("a"))
    starter.join(LONG_S)
    answers.close()  # type: ignore[attr-defined]
    assert [ticket.cancelled for _, _, ticket in desk.tickets] == [True, True, True]


def test_a_stream_shows_no_empty_piece_and_lets_go():
    desk = Prompt()
    session = Session(desk)
    assert list(session.stream(request("abc"), Sampling())) == ["a", "bc"]
    half = session.stream(request("xyz"), Sampling())
    assert next(half) == "x"
    half.close()  # type: ignore[attr-defined]
    assert desk.tickets[1][2].cancelled
    assert session._open == set()


def test_cancelling_wakes_whoever_waits_and_refuses_what_comes():
    desk = Desk()
    session = Session(desk)
    ended: list[Exception] = []

    def wait() -> None:
        try:
            list(session.generate(map(request, "abc"), Sampling()))
        except GivenUpError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while len(desk.tickets) < 2:
        pass
    session.cancel()
    thread.join(LONG_S)
    assert len(ended) == 1
    assert all(ticket.cancelled for _, _, ticket in desk.tickets)
    for action in (
        lambda: session.submit(request("d"), Sampling()),
        lambda: list(session.stream(request("d"), Sampling())),
        lambda: next(session.generate([request("d")], Sampling())),
        lambda: session.score(request("d"), ["x"]),
    ):
        with pytest.raises(GivenUpError):
            action()
    session.cancel()


def test_a_cancellation_in_the_middle_of_submitting_reaches_the_ticket():
    """Between the question whether the session is open and the ticket's being known to it."""
    desk = Desk()
    session = Session(desk)
    desk.at_submit = session.cancel  # type: ignore[method-assign]
    ticket = session.submit(request("a"), Sampling())
    assert ticket.cancelled
    with pytest.raises(GivenUpError):
        ticket.answer()


def test_no_ticket_escapes_a_cancellation_from_another_thread():
    for _ in range(50):
        desk = Desk()
        session, start = Session(desk), threading.Barrier(2)

        def submit(session: Session = session, start: threading.Barrier = start) -> None:
            start.wait(LONG_S)
            try:
                for _ in range(20):
                    session.submit(request("a"), Sampling())
            except GivenUpError:
                pass

        thread = threading.Thread(target=submit)
        thread.start()
        start.wait(LONG_S)
        session.cancel()
        thread.join(LONG_S)
        assert all(ticket.cancelled for _, _, ticket in desk.tickets)


def test_scores_come_from_the_service():
    assert Session(Prompt()).score(request("a"), ["x", "y"]) == [1.0, 1.0]
