"""What runs at once: memory is bounded while answers grow, and long recordings and short requests go side by side."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.audio import Waveform
from auricle.conversation import Audio, Message, RawPrompt, Sampling
from auricle.engines import NativeEngine, Request, Ticket, native_stepper, room
from auricle.engines.native_stepper import NativeStepper
from auricle.engines.room import ROW_TOKENS, Room
from auricle.weights import Checkpoint

Noise = Callable[..., np.ndarray]
LENGTHS = st.lists(st.integers(1, 5000), max_size=20)
SHORT = Request(RawPrompt(("What is said in this recording, and who says it?",)))


@pytest.fixture
def engine(checkpoint: Checkpoint) -> NativeEngine:
    return NativeEngine(replace(checkpoint, stop_ids=frozenset()), batch_size=2)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """A row is long above 40 tokens, and 120 run at once."""
    monkeypatch.setattr(room, "ROW_TOKENS", 40)
    monkeypatch.setattr(native_stepper, "ROW_TOKENS", 40)
    return Room(120, 16)


def padded(lengths: list[int]) -> int:
    short = [length for length in lengths if length <= room.ROW_TOKENS]
    return len(short) * max(short, default=0) + sum(lengths) - sum(short)


def add(stepper: NativeStepper, request: Request, sampling: Sampling, index: int = 0) -> Ticket:
    ticket = Ticket()
    stepper.add(stepper.prepare(request, sampling), sampling, index, ticket)
    return ticket


def hear(noise: Noise, duration_s: float, seed: int = 0) -> Request:
    return Request((Message("user", (Audio(), "?")),), (Waveform(noise(duration_s, seed=seed)),))


@pytest.mark.parametrize(
    ("running", "length", "fits"),
    [
        ([], 9000, True),
        ([3000], 500, True),
        ([3000], 900, False),
        ([3000, 400], 401, False),
        ([800], 800, True),
        ([800, 800], 10, False),
        ([800, 801], 801, False),
        ([800], 4000, True),
        ([500, 500], 4000, False),
        ([10] * 16, 10, False),
    ],
)
def test_who_fits_by_hand(running: list[int], length: int, fits: bool):
    assert Room.of(2).fits(running, length) == fits


@pytest.mark.parametrize(
    ("running", "place"),
    [
        ([700, 600, 650, 700, 620], 4),
        ([700, 600, 650, 620], None),
        ([3000, 500, 450, 400], 3),
        ([3000, 400, 400], None),
        ([3000, 700, 650], 2),
        ([700, 1700, 1900, 20], 2),
        ([9000], None),
    ],
)
def test_who_waits_again_by_hand(running: list[int], place: int | None):
    """Beside a long one, the short ones keep 800 tokens of 1600 in any case."""
    assert Room.of(2).too_many(running) == place


@given(LENGTHS, LENGTHS, st.integers(1, 8))
def test_room_is_bounded_and_nobody_goes_round_in_circles(waiting: list[int], grown: list[int], batch_size: int):
    budget, running = Room.of(batch_size), list[int]()
    for length in waiting:
        if budget.fits(running, length):
            running.append(length)
    one_long = max([0, *(length for length in waiting if length > ROW_TOKENS)])
    assert padded(running) <= max(budget.num_tokens, one_long + max(ROW_TOKENS, budget.num_tokens // 2))
    running = [length + more for length, more in zip(running, grown + [0] * 20, strict=False)]
    while (place := budget.too_many(running)) is not None:
        removed = running.pop(place)
        assert not budget.fits(running, removed)
    longest = max(running, default=0)
    assert padded(running) <= max(2 * budget.num_tokens, longest + max(ROW_TOKENS, budget.num_tokens // 2))


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_new_tokens=60, logprobs=1),
        Sampling(max_new_tokens=60, temperature=1.2, top_k=30, seed=3),
        Sampling(max_new_tokens=60, repetition_penalty=1.3, min_new_tokens=40, stop=("e",)),
    ],
    ids=["greedy", "seeded", "penalty and stop"],
)
def test_rows_that_are_put_back_go_on_as_if_they_had_never_paused(
    engine: NativeEngine, small: Room, noise: Noise, sampling: Sampling
):
    """More grows than there is room for; all are answered as they are alone, and no row ever holds too much."""
    stepper = NativeStepper(engine)
    stepper._room = small
    asked = [SHORT, hear(noise, 0.4)] * 3
    tickets = [add(stepper, request, sampling, index) for index, request in enumerate(asked)]
    while stepper.step():
        lengths = stepper._lengths()
        assert padded(lengths) <= 2 * 120 + len(lengths)  # a token each was said since
    expected = list(engine.generate(asked, sampling))
    for ticket, alone in zip(tickets, expected, strict=True):
        got = "".join(piece.text for piece in ticket.pieces())
        assert got == alone.text
        assert ticket.answer().num_prompt_tokens == alone.num_prompt_tokens
        assert ticket.answer().logprob == pytest.approx(alone.logprob, abs=1e-2)


def test_growing_answers_do_make_rows_wait_again(engine: NativeEngine, small: Room, monkeypatch: pytest.MonkeyPatch):
    """Negative control: where nobody is put back, the same requests hold more."""

    def most() -> int:
        stepper = NativeStepper(engine)
        stepper._room = small
        for index in range(6):
            add(stepper, SHORT, Sampling(max_new_tokens=120), index)
        held = 0
        while stepper.step():
            held = max(held, padded(stepper._lengths()))
        return held

    bounded = most()
    monkeypatch.setattr(Room, "too_many", lambda self, running: None)
    assert bounded <= 2 * 120 + 6 < most()


def test_short_requests_are_answered_beside_long_recordings(engine: NativeEngine, noise: Noise):
    """The second long one waits for the first; whoever is short waits for neither."""
    stepper = NativeStepper(engine)
    long = [add(stepper, hear(noise, 80.0, seed), Sampling(max_new_tokens=60)) for seed in range(2)]
    short = [add(stepper, SHORT, Sampling(max_new_tokens=8)) for _ in range(30)]
    for _ in range(35):
        stepper.step()
    assert all(ticket.done for ticket in short)
    assert not any(ticket.done for ticket in long)
    assert (stepper.num_running, stepper.num_waiting) == (1, 1)
    while stepper.step():
        pass
    assert all(ticket.done for ticket in long)


def test_no_short_row_is_padded_to_a_long_one(engine: NativeEngine, noise: Noise):
    stepper = NativeStepper(engine)
    tickets = [add(stepper, hear(noise, 120.0), Sampling(max_new_tokens=20))]
    tickets += [add(stepper, SHORT, Sampling(max_new_tokens=20)) for _ in range(10)]
    for _ in range(3):
        stepper.step()
    assert stepper.num_running == 11
    lengths = stepper._lengths()
    token_bytes = 2 * 2 * 2 * 8 * 4  # of the tiny model: keys and values, layers, heads, width, float32
    assert stepper.cache_stats()["running_bytes"] <= (max(lengths) + 128 + 13 * 128) * token_bytes
    while stepper.step():
        pass
    assert all(ticket.done for ticket in tickets)


def test_a_long_one_is_passed_a_bounded_number_of_times(engine: NativeEngine, noise: Noise):
    """Short ones that come without an end hold it up, but not for ever."""
    stepper = NativeStepper(engine)
    for seed in range(2):
        add(stepper, hear(noise, 18.0, seed), Sampling(max_new_tokens=8))
    for _ in range(2):
        stepper.step()
    long = add(stepper, hear(noise, 60.0, 5), Sampling(max_new_tokens=2))
    coming = [hear(noise, 18.0, 2), SHORT]
    num_passed = 0
    for num in range(120):
        ticket = add(stepper, coming[num % 2], Sampling(max_new_tokens=8))
        stepper.step()
        if long.done:
            break
        num_passed += ticket in [row.ticket for row in stepper._running.values()]
    assert long.done
    assert 0 < num_passed <= 17
    stepper.abandon()
