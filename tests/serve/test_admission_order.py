"""Turns: never too many at once, in the order of arrival, none lost, whoever leaves when."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.serve.admission import Admission
from auricle.serve.wire.errors import ApiError


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


class Guests:
    """Clients of an admission, each a task, and what became of it."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.inside: list[int] = []
        self.came_in: list[int] = []
        self.sent_away: dict[int, int] = {}
        self.leaving: dict[int, asyncio.Event] = {}

    async def stay(self, number: int) -> None:
        try:
            await self.admission.enter()
        except ApiError as error:
            self.sent_away[number] = error.status
            return
        self.inside.append(number)
        self.came_in.append(number)
        try:
            await self.leaving[number].wait()
        finally:
            self.inside.remove(number)
            self.admission.leave()

    def arrive(self, number: int) -> None:
        self.leaving[number] = asyncio.Event()
        self.tasks[number] = asyncio.ensure_future(self.stay(number))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


STEPS = st.lists(
    st.tuples(st.sampled_from(["arrive", "leave", "cancel", "leave and cancel", "settle", "drain"]), st.integers(0, 9)),
    max_size=60,
)


@given(max_concurrency=st.integers(1, 3), max_queue=st.integers(0, 4), steps=STEPS)
def test_turns_as_a_plain_model_says(max_concurrency: int, max_queue: int, steps: list[tuple[str, int]]):
    """The model: a list inside and a queue outside. Nothing here waits for a clock."""

    async def play() -> None:
        guests = Guests(Admission(max_concurrency=max_concurrency, max_queue=max_queue))
        inside: list[int] = []
        queue: deque[int] = deque()
        came_in: list[int] = []
        away: dict[int, int] = {}
        draining, next_number = False, 0

        def let_in() -> None:
            while queue and len(inside) < max_concurrency:
                inside.append(queue.popleft())
                came_in.append(inside[-1])

        for kind, choice in steps:
            if kind == "arrive":
                number, next_number = next_number, next_number + 1
                guests.arrive(number)
                await settle()
                if draining:
                    away[number] = 503
                elif len(inside) < max_concurrency or len(queue) < max_queue:
                    queue.append(number)
                    let_in()
                else:
                    away[number] = 429
            elif kind == "drain":
                draining = True
                guests.admission.drain()
            elif kind == "settle":
                await settle()
            else:
                victims = inside if kind == "leave" else [*inside, *queue]
                if kind == "leave and cancel" and inside and queue:
                    # The turn is given to one who is cancelled in the same breath, before or after.
                    leaver, waiter = inside[choice % len(inside)], queue[choice % len(queue)]
                    if choice % 2:
                        guests.tasks[waiter].cancel()
                    guests.leaving[leaver].set()
                    guests.tasks[waiter].cancel()
                    inside.remove(leaver)
                    queue.remove(waiter)
                    let_in()
                elif victims:
                    victim = victims[choice % len(victims)]
                    if kind == "leave":
                        guests.leaving[victim].set()
                    else:
                        guests.tasks[victim].cancel()
                    (inside if victim in inside else queue).remove(victim)
                    let_in()
                await settle()
            assert guests.inside == inside
            assert guests.came_in == came_in
            assert guests.sent_away == away
            assert guests.admission.running == len(inside)
            assert guests.admission.waiting == len(queue)
        for task in guests.tasks.values():
            task.cancel()
        await asyncio.gather(*guests.tasks.values(), return_exceptions=True)
        assert guests.admission.running == guests.admission.waiting == 0

    run(play)


@pytest.mark.parametrize("first", ["cancel", "leave"])
def test_a_client_that_leaves_as_its_turn_comes_loses_no_turn(first: str):
    async def play() -> None:
        admission = Admission(max_concurrency=1, max_queue=3)
        await admission.enter()
        one, other = (asyncio.ensure_future(admission.enter()) for _ in range(2))
        await settle()
        assert admission.waiting == 2
        for step in (first, "leave" if first == "cancel" else "cancel"):
            if step == "cancel":
                one.cancel()
            else:
                admission.leave()
        with pytest.raises(asyncio.CancelledError):
            await one
        await asyncio.wait_for(other, 1)
        assert (admission.running, admission.waiting) == (1, 0)
        admission.leave()
        assert admission.running == 0

    run(play)


def test_overload_is_answered_429_with_a_sensible_time():
    """Turns that end every two seconds, and four that wait: the fifth is told ten."""
    now = 0.0

    async def play() -> None:
        nonlocal now
        admission = Admission(max_concurrency=1, max_queue=4, clock=lambda: now)
        await admission.enter()
        waiting = [asyncio.ensure_future(admission.enter()) for _ in range(4)]
        await settle()
        with pytest.raises(ApiError) as refused:
            await admission.enter()
        assert (refused.value.status, refused.value.code) == (429, "rate_limit_exceeded")
        assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
        assert "1 requests run and 4 wait" in refused.value.message
        for _ in range(60):
            now += 2.0
            admission.leave()
            waiting.append(asyncio.ensure_future(admission.enter()))
            await settle()
        with pytest.raises(ApiError) as refused:
            await admission.enter()
        assert refused.value.headers["Retry-After"] == "10"
        now += 10_000
        for _ in range(9):
            now += 100
            admission.leave()
            waiting.append(asyncio.ensure_future(admission.enter()))
            await settle()
        assert admission.retry_after_s == 60
        for task in waiting:
            task.cancel()

    run(play)


def test_a_draining_server_answers_503_with_a_time():
    async def play() -> None:
        admission = Admission(max_concurrency=1, max_queue=1)
        admission.drain()
        with pytest.raises(ApiError, match="the server is stopping") as refused:
            await admission.enter()
        assert refused.value.status == 503
        assert int(refused.value.headers["Retry-After"]) > 0

    run(play)
