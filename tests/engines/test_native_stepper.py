"""Our model for many clients at once: every answer is the one that comes alone, whoever else joins, leaves or fails."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from auricle.audio import Waveform
from auricle.conversation import Answer, Audio, Message, RawPrompt, Sampling
from auricle.engines import GivenUpError, NativeEngine, Request, Session, Ticket
from auricle.engines.caches import PrefixCache, RecordingCache, num_shared
from auricle.engines.driver import Driver
from auricle.engines.native_stepper import NativeStepper
from auricle.errors import UserError
from auricle.generate import RunningBatch
from auricle.model import Qwen2Audio
from auricle.weights import Checkpoint

Noise = Callable[..., np.ndarray]
LONG_S = 60.0
SAMPLINGS = (
    Sampling(max_new_tokens=10),
    Sampling(max_new_tokens=12, logprobs=2, min_new_tokens=5),
    Sampling(max_new_tokens=12, temperature=1.3, top_k=30, seed=4),
    Sampling(max_new_tokens=9, repetition_penalty=1.3),
    Sampling(max_new_tokens=14, stop=("e", "a ")),
    Sampling(max_new_tokens=1, logprobs=0),
)


def hear(noise: Noise, text: str, *durations_s: float, seed: int = 0) -> Request:
    audios = tuple(Waveform(noise(duration_s, seed=seed + n)) for n, duration_s in enumerate(durations_s))
    return Request((Message("user", (*[Audio()] * len(audios), text)),), audios)


@pytest.fixture(scope="module")
def requests(noise: Noise) -> list[Request]:
    return [
        hear(noise, "What is said?", 0.3),
        hear(noise, "Who speaks?"),
        hear(noise, "Which mood?", 0.2, 0.5, 0.1),
        Request(RawPrompt((Audio(), "Detect the language:")), (Waveform(noise(0.4)),)),
        Request(RawPrompt(("recognize the speech:",))),
        hear(noise, "What is said in this longer one, again and again?", 1.5, seed=7),
    ]


@pytest.fixture(scope="module")
def engine(checkpoint: Checkpoint) -> NativeEngine:
    """Any of many ids may end an answer: they end at different steps."""
    return NativeEngine(replace(checkpoint, stop_ids=checkpoint.stop_ids | set(range(60, 75))), batch_size=2)


def open_driver(engine: NativeEngine, **budgets: int) -> Driver:
    return Driver(NativeStepper(engine, **budgets))


@pytest.fixture
def driver(engine: NativeEngine) -> Iterator[Driver]:
    driver = open_driver(engine)
    yield driver
    driver.close()


def stepper_of(driver: Driver) -> NativeStepper:
    assert isinstance(driver.stepper, NativeStepper)
    return driver.stepper


def assert_same(got: Answer, alone: Answer) -> None:
    assert (got.text, got.num_tokens, got.finish_reason) == (alone.text, alone.num_tokens, alone.finish_reason)
    assert got.num_prompt_tokens == alone.num_prompt_tokens
    assert got.logprob == pytest.approx(alone.logprob, abs=1e-3)
    assert [token.text for token in got.tokens] == [token.text for token in alone.tokens]
    for one, other in zip(got.tokens, alone.tokens, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
        assert [text for text, _ in one.top] == [text for text, _ in other.top]


@pytest.mark.parametrize("budgets", [{}, {"recordings_bytes": 0, "prefixes_bytes": 0}], ids=["caches", "no caches"])
def test_together_as_alone(engine: NativeEngine, requests: list[Request], budgets: dict[str, int]):
    """Every request with every sampling, all at once and twice, so that the second time much is remembered."""
    driver = open_driver(engine, **budgets)
    asked = [(request, sampling) for sampling in SAMPLINGS for request in requests]
    alone = [next(engine.generate([request], sampling)) for request, sampling in asked]
    for _ in range(2):
        tickets = [driver.submit(request, sampling) for request, sampling in asked]
        for ticket, expected in zip(tickets, alone, strict=True):
            pieces = list(ticket.pieces())
            got = ticket.answer()
            assert_same(got, expected)
            assert "".join(piece.text for piece in pieces) == got.text
            assert tuple(token for piece in pieces for token in piece.tokens) == got.tokens
    assert len({answer.text for answer in alone}) > len(requests)
    assert {answer.finish_reason for answer in alone} == {"stop", "length"}
    stats = driver.cache_stats()
    assert (stats["prefix_hits"] > 0) == (stats["recording_hits"] > 0) == (not budgets)
    driver.close()


def test_draws_depend_on_seed_and_index(engine: NativeEngine, driver: Driver, requests: list[Request]):
    sampling = SAMPLINGS[2]
    tickets = [driver.submit(requests[0], sampling, index) for index in range(4)]
    expected = [answer.text for answer in engine.generate([requests[0]] * 4, sampling)]
    assert [ticket.answer().text for ticket in tickets] == expected
    assert len(set(expected)) > 1
    session = list(Session(driver).generate([requests[0]] * 4, sampling))
    assert [answer.text for answer in session] == expected


def test_pieces_come_while_the_answer_grows(driver: Driver, requests: list[Request]):
    ticket = driver.submit(requests[0], Sampling(max_new_tokens=60, temperature=1.0, seed=1, min_new_tokens=60))
    first = next(ticket.pieces())
    assert first.text
    assert not ticket.done
    ticket.cancel()


def test_what_is_refused(driver: Driver, engine: NativeEngine, requests: list[Request]):
    with pytest.raises(UserError, match="beam search cannot share a running batch: got num_beams 3, expected 1"):
        driver.submit(requests[0], Sampling(num_beams=3))
    schema = Sampling(json_schema="{}")
    match = "engine native cannot hold an answer to a JSON schema"
    for refused in (
        lambda: driver.submit(requests[0], schema),
        lambda: next(engine.generate(requests[:1], schema)),
        lambda: next(engine.stream(requests[0], schema)),
        lambda: engine.branch(requests[0], schema, 2),
    ):
        with pytest.raises(UserError, match=match):
            refused()
    with pytest.raises(UserError, match="prompt too long"):
        driver.submit(requests[0], Sampling(max_new_tokens=5000))
    with pytest.raises(UserError, match="places for 1 recordings but 0 were given"):
        driver.submit(replace(requests[0], audios=()), Sampling())


def test_scores_between_steps(driver: Driver, engine: NativeEngine, requests: list[Request]):
    ticket = driver.submit(requests[0], Sampling(max_new_tokens=40))
    words = ["again", "the lazy dog"]
    assert driver.score(requests[2], words) == pytest.approx(engine.score(requests[2], words), abs=1e-3)
    assert ticket.answer().text == next(engine.generate(requests[:1], Sampling(max_new_tokens=40))).text


class Stepping:
    """A stepper without its driver: a test decides when it steps."""

    def __init__(self, engine: NativeEngine, **budgets: int) -> None:
        self.stepper = NativeStepper(engine, **budgets)

    def add(self, request: Request, sampling: Sampling = SAMPLINGS[0]) -> Ticket:
        ticket = Ticket()
        self.stepper.add(self.stepper.prepare(request, sampling), sampling, 0, ticket)
        return ticket

    def finish(self) -> None:
        for _ in range(200):
            if not self.stepper.step():
                return
        raise AssertionError("it does not end")

    @property
    def counts(self) -> tuple[int, int]:
        return self.stepper.num_running, self.stepper.num_waiting


@pytest.mark.parametrize("num_steps", [0, 1, 2, 5])
def test_a_cancelled_request_leaves_at_any_moment(engine: NativeEngine, requests: list[Request], num_steps: int):
    """Waiting, just read, or in the middle of its answer; the others say what they say alone."""
    stepping, sampling = Stepping(engine), Sampling(max_new_tokens=10, min_new_tokens=10)
    tickets = [stepping.add(request, sampling) for request in requests[:4]]
    for _ in range(num_steps):
        stepping.stepper.step()
    tickets[1].cancel()
    stepping.stepper.step()
    assert sum(stepping.counts) == 3
    stepping.finish()
    assert not tickets[1].done
    alone = [next(engine.generate([request], sampling)) for request in requests[:4]]
    for place in (0, 2, 3):
        assert_same(tickets[place].answer(), alone[place])
    with pytest.raises(GivenUpError):
        tickets[1].answer()
    assert stepping.counts == (0, 0)


def test_requests_wait_for_room_in_the_order_of_arrival(engine: NativeEngine, requests: list[Request]):
    """16 short rows have room, and one of 30 s leaves room for one more; a few hundred tokens are read a step."""
    stepping = Stepping(engine)
    tickets = [stepping.add(requests[4]) for _ in range(20)]
    stepping.stepper.step()
    assert stepping.counts == (16, 4)
    stepping.finish()
    assert all(ticket.done for ticket in tickets)


def test_long_prompts_join_one_a_step(engine: NativeEngine, noise: Noise):
    stepping = Stepping(engine)
    for seed in range(3):
        stepping.add(hear(noise, "?", 29.0, seed=seed), Sampling(max_new_tokens=8, min_new_tokens=8))
    counts = []
    for _ in range(3):
        stepping.stepper.step()
        counts.append(stepping.counts)
    assert counts == [(1, 2), (2, 1), (2, 1)]
    stepping.finish()


def test_what_fails_while_a_prompt_is_read_costs_that_request_alone(
    engine: NativeEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch
):
    stepping, encode = Stepping(engine), Qwen2Audio.encode
    good = stepping.add(requests[0])
    stepping.stepper.step()

    def no_room(self: Qwen2Audio, features: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(Qwen2Audio, "encode", no_room)
    bad = stepping.add(requests[5])
    stepping.stepper.step()
    monkeypatch.setattr(Qwen2Audio, "encode", encode)
    later = stepping.add(requests[5])
    stepping.finish()
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        bad.answer()
    assert_same(good.answer(), next(engine.generate(requests[:1], SAMPLINGS[0])))
    assert_same(later.answer(), next(engine.generate(requests[5:6], SAMPLINGS[0])))


@pytest.mark.parametrize("phase", ["join", "step"])
def test_what_fails_in_a_step_costs_those_that_run_and_none_that_wait(
    engine: NativeEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch, phase: str
):
    stepping, right = Stepping(engine), getattr(RunningBatch, phase)
    sampling = Sampling(max_new_tokens=10, min_new_tokens=10)
    running = stepping.add(requests[0], sampling)
    stepping.stepper.step()

    def broken(self: RunningBatch, *args: object, **named: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(RunningBatch, phase, broken)
    with_it, waiting = stepping.add(requests[1], sampling), stepping.add(requests[2], sampling)
    if phase == "step":
        monkeypatch.setattr("auricle.engines.native_stepper._READ_TOKENS", 1)
    assert stepping.stepper.step()
    monkeypatch.setattr(RunningBatch, phase, right)
    stepping.finish()
    for ticket in (running, with_it):
        with pytest.raises(MemoryError, match="no room"):
            ticket.answer()
    assert_same(waiting.answer(), next(engine.generate(requests[2:3], sampling)))


def test_sixteen_threads_and_none_hangs(engine: NativeEngine, driver: Driver, requests: list[Request]):
    """Random requests and random cancellations: whoever is answered gets the text that comes alone."""
    asked = [(request, sampling) for sampling in SAMPLINGS[:3] for request in requests]
    alone = [next(engine.generate([request], sampling)).text for request, sampling in asked]
    wrong: list[str] = []
    ended: list[str] = []

    def client(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(5):
            place = rng.randrange(len(asked))
            session = Session(driver)
            if rng.random() < 0.4:
                threading.Timer(rng.random() / 10, session.cancel).start()
            try:
                if "".join(session.stream(*asked[place])) != alone[place]:
                    wrong.append(alone[place])
                ended.append("answered")
            except GivenUpError:
                ended.append("cancelled")

    threads = [threading.Thread(target=client, args=(seed,), daemon=True) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
        assert not thread.is_alive()
    assert wrong == []
    assert len(ended) == 80
    assert "answered" in ended
    driver.score(requests[1], ["a"])  # after the last step
    assert driver.num_running == driver.num_waiting == len(driver._tickets) == 0


def test_a_recording_is_encoded_once(engine: NativeEngine, noise: Noise, monkeypatch: pytest.MonkeyPatch):
    """Whatever is asked about it; another one with the same text, or one sample changed, is another."""
    encoded: list[int] = []
    mels: list[int] = []
    encode = Qwen2Audio.encode

    def watch(self: Qwen2Audio, features: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
        encoded.append(len(features))
        return encode(self, features, num_frames)

    from auricle.engines import listening

    log_mel = listening.log_mel
    monkeypatch.setattr(Qwen2Audio, "encode", watch)
    monkeypatch.setattr(listening, "log_mel", lambda *args, **named: (mels.append(1), log_mel(*args, **named))[1])
    stepping = Stepping(engine, prefixes_bytes=0)
    first = hear(noise, "What is said?", 0.5)
    changed = first.audios[0].samples.copy()
    changed[4000] += 0.5
    others = [hear(noise, "Who speaks?", 0.5), hear(noise, "What is said?", 0.5, seed=1)]
    others.append(replace(first, audios=(Waveform(changed),)))
    for request, expected in zip([first, first, *others], [1, 1, 1, 2, 3], strict=True):
        ticket = stepping.add(request)
        stepping.finish()
        assert len(encoded) == len(mels) == expected
        alone = next(NativeEngine(engine.checkpoint).generate([request], SAMPLINGS[0]))
        del encoded[expected:]
        assert ticket.answer().text == alone.text
    stats = stepping.stepper.cache_stats()
    assert (stats["recording_hits"], stats["recording_misses"]) == (2, 3)
    assert stats["recording_bytes"] == 3 * len(range(0, 12)) * 32 * 4


def test_a_recording_forgotten_before_its_turn_is_heard_again(engine: NativeEngine, noise: Noise):
    stepping, request = Stepping(engine, prefixes_bytes=0), hear(noise, "What is said?", 0.5)
    stepping.add(request)
    stepping.finish()
    ticket = stepping.add(request)
    stepping.stepper._recordings._kept.clear()
    stepping.finish()
    assert_same(ticket.answer(), next(engine.generate([request], SAMPLINGS[0])))


def test_a_follow_up_reads_only_what_is_new(engine: NativeEngine, noise: Noise, monkeypatch: pytest.MonkeyPatch):
    read: list[int] = []
    decode = Qwen2Audio.decode

    def watch(self: Qwen2Audio, embeddings: torch.Tensor, *rest: object) -> torch.Tensor:
        read.append(embeddings.shape[1])
        return decode(self, embeddings, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Qwen2Audio, "decode", watch)
    stepping = Stepping(engine)
    first = hear(noise, "What is said?", 1.0, 0.5)
    ticket = stepping.add(first)
    stepping.finish()
    num_first = read[0]
    turns = (*first.prompt, Message("assistant", (ticket.answer().text,)), Message("user", ("Who speaks?",)))  # type: ignore[misc]
    follow_up = replace(first, prompt=turns)
    question = hear(noise, "Who speaks?", 1.0, 0.5)
    other = hear(noise, "What is said?", 1.0, 0.5, seed=5)
    for request, most, least in ((follow_up, 40, 2), (question, 20, 2), (other, num_first, num_first - 40)):
        read.clear()
        ticket = stepping.add(request)
        stepping.finish()
        assert least <= read[0] <= most
        assert_same(ticket.answer(), next(engine.generate([request], SAMPLINGS[0])))
    assert stepping.stepper.cache_stats()["prefix_hits"] == 3  # the other recording shares the system's turn


def test_raw_prompts_are_not_kept(engine: NativeEngine, requests: list[Request]):
    stepping = Stepping(engine)
    stepping.add(requests[3])
    stepping.finish()
    assert stepping.stepper.cache_stats()["prefix_bytes"] == 0


def test_memory_is_bounded(engine: NativeEngine, noise: Noise):
    stepping = Stepping(engine, recordings_bytes=10_000, prefixes_bytes=100_000)
    for seed in range(30):
        stepping.add(hear(noise, "What is said?", 0.2 + seed / 40, seed=seed))
    while stepping.stepper.step():
        stats = stepping.stepper.cache_stats()
        assert stats["recording_bytes"] <= 10_000
        assert stats["prefix_bytes"] <= 100_000
        assert stats["running_bytes"] <= 1.25 * 16 * 192 * 2 * 2 * 2 * 8 * 4
    assert stats["recording_bytes"] > 5_000
    assert stats["prefix_bytes"] > 50_000


def test_recording_cache_lets_the_longest_unused_go():
    cache = RecordingCache(2 * 40)
    one, two, three = (torch.full((1, 10), float(n)) for n in range(3))
    cache.put(b"1", one)
    cache.put(b"2", two)
    cache.put(b"large", torch.zeros(30))
    assert cache.get(b"1") is one
    cache.put(b"3", three)
    assert (b"1" in cache, b"2" in cache, b"3" in cache, b"large" in cache) == (True, False, True, False)
    assert cache.get(b"2") is None
    assert (cache.hits, cache.misses, cache.num_bytes) == (1, 1, 80)


def layers(num_tokens: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.zeros(1, num_tokens, 1), torch.zeros(1, num_tokens, 1))]


def test_prefix_cache_by_hand():
    cache = PrefixCache(1000)
    system, sound, other = tuple(range(20)), (b"one",) * 10, (b"two",) * 10
    cache.put((*system, *sound, 7), 300, lambda: layers(31))
    whole = cache.find((*system, *sound, 8, 9))
    assert whole is not None
    assert whole.num_tokens == 30
    shared = cache.find((*system, *other, 7, 7))
    assert shared is not None
    assert shared.num_tokens == 20
    last = cache.find((*system, *sound))  # one token must be left to read, and no recording is split
    assert last is not None
    assert last.num_tokens == 20
    assert cache.find((*range(15), 99)) is None  # too short
    assert (cache.hits, cache.misses, cache.num_tokens) == (3, 1, 70)
    cache.put((*system, *sound, 7, 8), 310, lambda: layers(32))  # in place of its beginning
    assert cache.num_bytes == 310
    cache.put((*system, *sound), 300, lambda: pytest.fail("known already"))
    cache.put((*system, *other), 1001, lambda: pytest.fail("no room at all"))
    cache.put((*system, 50), 400, lambda: layers(21))
    assert cache.find((*system, *sound, 9, 9)) is not None
    cache.put((*system, 60), 400, lambda: layers(21))  # the one that was not asked for leaves
    assert cache.num_bytes == 710
    assert cache.find((*system, 50, 1)).num_tokens == 20  # type: ignore[union-attr]


def test_shared_beginnings():
    assert num_shared((1, 2, 3), (1, 2, 4)) == 2
    assert num_shared((1, 2), (1, 2, 4)) == 2
    assert num_shared((), (1,)) == 0
    assert num_shared((b"a", 2), (1, 2)) == 0
