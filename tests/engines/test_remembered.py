"""A prompt is asked once: replies come from the cache, also of a process that was killed."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from auricle.content_cache import ContentCache
from auricle.conversation import Answer, Message, Sampling
from auricle.engines import Request
from auricle.engines.remembered import Remembered
from auricle.errors import UserError

SAMPLING = Sampling(temperature=0.5, max_new_tokens=7)


class Shouter:
    """Replies in capitals; refuses and dies at certain prompts."""

    defaults = Sampling()
    batch_size = 4

    def __init__(self, *, refuses: str = "", dies_at: str | None = None) -> None:
        self.requests: list[Request] = []
        self.refuses = refuses
        self.dies_at = dies_at

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        assert sampling == SAMPLING
        for request in requests:
            self.requests.append(request)
            prompt = self.prompts[-1]
            if prompt == self.dies_at:
                raise KeyboardInterrupt
            if self.refuses and self.refuses in prompt:
                raise UserError("the server will not")
            yield Answer(prompt.upper(), 1, 1, "stop", math.nan)

    @property
    def prompts(self) -> list[str]:
        return [str(request.prompt[-1].content[0]) for request in self.requests]  # type: ignore[union-attr]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ContentCache]:
    opened = ContentCache(tmp_path / "replies.sqlite")
    yield opened
    opened.close()


def remembered(engine: Shouter, cache: ContentCache, name: str = "n", **settings: object) -> Remembered:
    return Remembered(engine, SAMPLING, name=name, cache=cache, **settings)  # type: ignore[arg-type]


def test_a_prompt_is_asked_once(cache: ContentCache):
    engine = Shouter()
    first = remembered(engine, cache)
    assert first.replies(["a", "b", "a"]) == {"a": "A", "b": "B"}
    assert first.replies(["b", "c"]) == {"b": "B", "c": "C"}
    assert remembered(engine, cache).replies(["c", "a"]) == {"a": "A", "c": "C"}
    assert engine.prompts == ["a", "b", "c"]
    assert remembered(engine, cache, "other").replies(["a"]) == {"a": "A"}
    assert engine.prompts == ["a", "b", "c", "a"]


def test_the_system_message_is_the_callers(cache: ContentCache):
    engine = Shouter()
    remembered(engine, cache).replies(["a"])
    remembered(engine, cache, "strict", system="Be strict.").replies(["a"])
    user = Message("user", ("a",))
    assert [request.prompt for request in engine.requests] == [(user,), (Message("system", ("Be strict.",)), user)]


def test_what_is_not_kept_is_asked_again(cache: ContentCache):
    engine = Shouter()
    asked = remembered(engine, cache, keeps=lambda reply: reply != "A")
    assert asked.replies(["a", "b"]) == {"a": "A", "b": "B"}
    assert asked.replies(["a", "b"]) == {"a": "A", "b": "B"}
    assert engine.prompts == ["a", "b", "a"]
    remembered(engine, cache).replies(["", ""])
    remembered(engine, cache).replies([""])
    assert engine.prompts[3:] == ["", ""]  # an empty reply is none


def test_a_killed_process_goes_on_where_it_was(cache: ContentCache):
    with pytest.raises(KeyboardInterrupt):
        remembered(Shouter(dies_at="c"), cache).replies(["a", "b", "c", "d"])
    engine = Shouter()
    assert len(remembered(engine, cache).replies(["a", "b", "c", "d"])) == 4
    assert engine.prompts == ["c", "d"]


def test_refused_prompts_are_left_out_and_asked_again(cache: ContentCache):
    engine = Shouter(refuses="x")
    told: list[tuple[int, int]] = []
    asked = remembered(engine, cache)
    asked.replies(["a"])
    assert asked.replies(["a", "x", "b", "x2"], lambda *dealt: told.append(dealt)) == {"a": "A", "b": "B"}
    assert told == [(2, 4), (3, 4), (4, 4)]
    engine.refuses = ""
    assert len(asked.replies(["a", "x", "b", "x2"])) == 4
    assert engine.prompts == ["a", "x", "b", "x2", "x", "x2"]


def test_five_refusals_in_a_row_are_the_servers_fault(cache: ContentCache):
    asked = remembered(Shouter(refuses="x"), cache)
    assert asked.replies(["x1", "x2", "x3", "x4", "fine", "x5", "x6", "x7"]) == {"fine": "FINE"}
    asked.replies(["x8"])
    with pytest.raises(UserError, match="the server will not"):
        asked.replies(["x9", "fine"])  # the fifth since the last reply


def test_a_cache_that_cannot_be_written_is_no_refusal(cache: ContentCache):
    engine = Shouter()
    asked = remembered(engine, cache, keeps=lambda _: cache.close() is None)
    with pytest.raises(UserError, match="cannot be used"):
        asked.replies(["a", "b"])
    assert engine.prompts == ["a"]
