"""The driver: one thread steps for all, and whatever happens every ticket ends."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from auricle.conversation import Answer, RawPrompt, Sampling
from auricle.engines import GivenUpError, Piece, Request, Ticket
from auricle.engines.driver import Driver
from auricle.errors import UserError

LONG_S = 20.0  # a test that waits so long has failed
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def request(text: str) -> Request:
    return Request(RawPrompt((text,)))


class Echo:
    """A stepper that says a request's text letter by letter; some texts make trouble."""

    def __init__(self) -> None:
        self.defaults, self.batch_size = Sampling(), 2
        self.rows: list[tuple[str, Ticket]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.stepping = threading.Event()
        self.num_abandoned = 0

    def prepare(self, request: Request, sampling: Sampling) -> str:
        assert isinstance(request.prompt, RawPrompt)
        [text] = request.prompt.content
        assert isinstance(text, str)
        if text == "refused":
            raise UserError("cannot hear it")
        return text

    def add(self, prepared: str, sampling: Sampling, index: int, ticket: Ticket) -> None:
        if prepared == "no place":
            raise RuntimeError("no place")
        self.rows.append((prepared, ticket))

    def step(self) -> bool:
        self.stepping.set()
        assert self.gate.wait(LONG_S)
        going = []
        for rest, ticket in self.rows:
            if rest == "bang":
                raise MemoryError("bang")
            if ticket.cancelled:
                continue
            if rest:
                ticket.push(Piece(rest[0]))
                going.append((rest[1:], ticket))
            else:
                ticket.finish(Answer("", 0, 0, "stop", 0.0))
        self.rows = going
        return bool(going)

    def abandon(self) -> None:
        self.num_abandoned += 1
        self.rows = []

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        if "bang" in continuations:
            raise ValueError("bang")
        return [float(len(text)) for text in continuations]


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def driver(echo: Echo) -> Iterator[Driver]:
    driver = Driver(echo)
    yield driver
    echo.gate.set()
    driver.close()
    assert not driver._thread.is_alive()


def within(action: Callable[[], object]) -> object:
    """Its result or its error; an action that hangs fails."""
    found: list[object] = []

    def run() -> None:
        try:
            found.append(action())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LONG_S)
    assert found, "it hangs"
    return found[0]


def pieces(ticket: Ticket) -> str:
    return "".join(piece.text for piece in ticket.pieces())


def test_pieces_and_scores(driver: Driver):
    tickets = [driver.submit(request(text), Sampling()) for text in ("abc", "d", "")]
    assert [pieces(ticket) for ticket in tickets] == ["abc", "d", ""]
    assert driver.score(request("x"), ["ab", "c"]) == [2.0, 1.0]
    with pytest.raises(UserError, match="cannot hear it"):
        driver.submit(request("refused"), Sampling())


def test_finished_tickets_are_forgotten(driver: Driver):
    for _ in range(50):
        pieces(driver.submit(request("ab"), Sampling()))
    driver.score(request("x"), [])  # after the last step
    assert within(lambda: len(driver._tickets)) == 0


def test_an_error_of_a_step_fails_what_ran_and_no_later_request(driver: Driver, echo: Echo):
    echo.gate.clear()
    tickets = [driver.submit(request(text), Sampling()) for text in ("abc", "bang")]
    echo.gate.set()
    for ticket in tickets:
        assert isinstance(within(ticket.answer), MemoryError)
        assert isinstance(within(ticket.answer), MemoryError)  # and again
    assert echo.num_abandoned == 1
    assert pieces(driver.submit(request("later"), Sampling())) == "later"


@pytest.mark.parametrize("trouble", ["bang", "no place", "score"])
def test_it_is_unhealthy_after_three_errors_in_a_row(driver: Driver, trouble: str):
    """Of steps, of requests that are taken in, or of scores; until a step is done again."""

    def ask() -> None:
        if trouble == "score":
            driver.score(request("x"), ["bang"])
        else:
            driver.submit(request(trouble), Sampling()).answer()

    def fail() -> None:
        with pytest.raises((MemoryError, RuntimeError, ValueError)):
            ask()

    for _ in range(2):
        fail()
        fail()
        assert driver.healthy
        assert pieces(driver.submit(request("good"), Sampling())) == "good"
        driver.score(request("x"), ["after the last step"])
    for _ in range(4):
        fail()
    assert not driver.healthy
    with pytest.raises(UserError):
        driver.submit(request("refused"), Sampling())
    assert not driver.healthy
    assert pieces(driver.submit(request("good"), Sampling())) == "good"
    driver.score(request("x"), ["after the last step"])
    assert driver.healthy


def test_an_error_of_one_call_costs_that_call_alone(driver: Driver, echo: Echo):
    echo.gate.clear()
    good, bad = (driver.submit(request(text), Sampling()) for text in ("good", "no place"))
    echo.gate.set()
    with pytest.raises(RuntimeError, match="no place"):
        bad.answer()
    with pytest.raises(ValueError, match="bang"):
        driver.score(request("x"), ["bang"])
    assert pieces(good) == "good"
    assert echo.num_abandoned == 0


def test_an_error_while_giving_up_does_not_stop_the_thread(driver: Driver, echo: Echo, monkeypatch: pytest.MonkeyPatch):
    def broken() -> None:
        echo.rows = []
        raise RuntimeError("broken")

    monkeypatch.setattr(echo, "abandon", broken)
    assert isinstance(within(driver.submit(request("bang"), Sampling()).answer), MemoryError)
    assert pieces(driver.submit(request("later"), Sampling())) == "later"


def test_closing_while_busy_fails_what_is_on_its_way(driver: Driver, echo: Echo):
    """What runs, what waits in the queue, and a score that waits: none hangs."""
    echo.gate.clear()
    running = driver.submit(request("abc"), Sampling())
    assert echo.stepping.wait(LONG_S)
    waiting = driver.submit(request("def"), Sampling())
    scores: list[object] = []
    scorer = threading.Thread(target=lambda: scores.append(within(lambda: driver.score(request("x"), ["a"]))))
    scorer.start()
    while driver.num_waiting < 2:
        pass
    closer = threading.Thread(target=driver.close)
    closer.start()
    while not driver._closed:
        pass
    echo.gate.set()
    for thread in (closer, scorer):
        thread.join(LONG_S)
        assert not thread.is_alive()
    for error in (within(running.answer), within(waiting.answer), scores[0]):
        assert isinstance(error, RuntimeError)
        assert "closed" in str(error)
    driver.close()  # a second time


def test_nothing_is_taken_in_after_the_end(driver: Driver):
    driver.close()
    for action in (lambda: driver.submit(request("a"), Sampling()), lambda: driver.score(request("a"), ["b"])):
        assert "closed" in str(within(action))


@pytest.mark.parametrize("turn", range(5))
def test_handing_in_while_closing_never_hangs(turn: int):
    driver = Driver(Echo())
    ends: list[object] = []

    def hand_in() -> None:
        for _ in range(200):
            try:
                driver.submit(request("a" * turn), Sampling()).answer()
                ends.append(None)
            except RuntimeError as error:
                ends.append(error)
                return

    threads = [threading.Thread(target=hand_in, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    driver.close()
    for thread in threads:
        thread.join(LONG_S)
        assert not thread.is_alive()
    assert all(end is None or "closed" in str(end) for end in ends)


def test_a_cancelled_ticket_wakes_its_reader(driver: Driver, echo: Echo):
    echo.gate.clear()
    ticket = driver.submit(request("abc"), Sampling())
    threading.Timer(0.05, ticket.cancel).start()
    assert isinstance(within(ticket.answer), GivenUpError)
    echo.gate.set()
    assert pieces(driver.submit(request("later"), Sampling())) == "later"
    assert echo.rows == []


def test_a_ticket_ends_once():
    ticket = Ticket()
    ticket.finish(Answer("a", 1, 1, "stop", 0.0))
    assert ticket.done
    ticket.fail(RuntimeError("too late"))
    assert ticket.answer() == ticket.answer() == Answer("a", 1, 1, "stop", 0.0)


def test_what_the_stepper_counts_is_shown(driver: Driver, echo: Echo):
    assert (driver.num_running, driver.num_waiting, driver.cache_stats()) == (0, 0, {})
    echo.num_running, echo.num_waiting = 3, 4  # type: ignore[attr-defined]
    echo.cache_stats = lambda: {"hits": 2.0}  # type: ignore[attr-defined]
    assert (driver.num_running, driver.num_waiting, driver.cache_stats()) == (3, 4, {"hits": 2.0})
