"""Stop texts: found across tokens and inside them, cut away, and never shown on the way."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from auricle.conversation import Sampling
from auricle.generate import StopStream, cut_at_stop, generate
from auricle.model import ModelInput, Qwen2Audio
from auricle.text import Tokenizer

Make = Callable[..., Qwen2Audio]
letters = st.text(alphabet="ab é", max_size=30)
stops = st.lists(st.text(alphabet="ab é", min_size=1, max_size=4), max_size=3)
NEVER: frozenset[int] = frozenset()


def cut_by_loop(text: str, stop: list[str]) -> str:
    for end in range(len(text)):
        if any(text[end:].startswith(one) for one in stop):
            return text[:end]
    return text


@given(text=letters, stop=stops)
@example(text="a b é", stop=["é", "b", "zz"])
def test_cut_is_before_the_first_stop_text(text: str, stop: list[str]):
    assert cut_at_stop(text, stop) == cut_by_loop(text, stop)


@given(text=letters, stop=stops)
@example(text="ab bé", stop=["é", "b b"])
def test_pieces_joined_are_the_cut_text(any_tokenizer: Tokenizer, text: str, stop: list[str]):
    """What is held back on the way is the beginning of a stop text, or of a character."""
    stream, shown, ids = StopStream(any_tokenizer, stop), "", []
    for token_id in any_tokenizer.encode(text):
        ids.append(token_id)
        shown += stream.push(token_id)
        read = any_tokenizer.decode(ids).rstrip("\ufffd")
        assert stream.ended == any(one in read for one in stop)
        if stream.ended:
            assert shown == cut_by_loop(read, stop)
            break
        held = read.removeprefix(shown)
        assert shown + held == read
        assert not held or any(one.startswith(held) for one in stop)
    shown += stream.finish()
    assert shown == cut_by_loop(any_tokenizer.decode(ids), stop)


@given(text=letters, stop=stops)
def test_without_a_stop_text_in_it_a_text_is_whole(tokenizer: Tokenizer, text: str, stop: list[str]):
    stop = [one for one in stop if one not in text]
    stream = StopStream(tokenizer, stop)
    assert "".join([*map(stream.push, tokenizer.encode(text)), stream.finish()]) == text
    assert not stream.ended


def test_worked_example(tokenizer: Tokenizer):
    def pieces(*texts: str) -> list[str]:
        stream = StopStream(tokenizer, ["END"])
        return [*("".join(map(stream.push, tokenizer.encode(text))) for text in texts), stream.finish()]

    assert pieces("one E", "N", "joy") == ["one ", "", "ENjoy", ""]
    assert pieces("one E", "N", "D, two", "three") == ["one ", "", "", "", ""]
    assert pieces("one E", "N") == ["one ", "", "EN"]


def test_the_text_after_a_stop_text_is_never_shown(tokenizer: Tokenizer):
    stream = StopStream(tokenizer, ["."])
    assert "".join(map(stream.push, tokenizer.encode("One. Two. Three."))) == "One"
    assert stream.finish() == ""


@pytest.fixture(scope="module")
def model(tiny_model: Make) -> Qwen2Audio:
    return tiny_model(seed=2)


@pytest.fixture(scope="module")
def inputs() -> ModelInput:
    ids = torch.tensor([[0, 0, 40, 50, 60], [31, 32, 33, 34, 35], [0, 70, 71, 72, 73]])
    return ModelInput(ids, ids > 0, torch.zeros(0, 0, 0), torch.zeros(0, dtype=torch.int64))


@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 1.0, "seed": 1}, {"num_beams": 3, "length_penalty": 0.0}], ids=str
)
def test_a_stop_text_ends_its_row_and_no_other(
    model: Qwen2Audio, inputs: ModelInput, tokenizer: Tokenizer, settings: dict[str, int]
):
    """The stop texts end in the middle of one token and span the next two."""
    free = generate(model, inputs, Sampling(max_new_tokens=20, **settings), stop_ids=NEVER)  # type: ignore[arg-type]
    texts = [tokenizer.decode(row.ids) for row in free]
    for index, text in enumerate(texts):
        stop = text[5:8]
        sampling = Sampling(max_new_tokens=20, stop=(stop,), **settings)  # type: ignore[arg-type]
        rows = generate(model, inputs, sampling, stop_ids=NEVER, tokenizer=tokenizer)
        assert rows[index].finish_reason == "stop"
        for row, whole, before in zip(rows, texts, free, strict=True):
            said = tokenizer.decode(row.ids)
            assert (stop in said) == (row.finish_reason == "stop")
            assert stop not in tokenizer.decode(row.ids[:-1])
            if "num_beams" not in settings:  # among beams one that ends may win over those that go on
                assert row.ids == before.ids[: len(row.ids)]
                assert (len(row.ids) < 20) <= (stop in whole)


def test_stop_texts_need_a_tokenizer(model: Qwen2Audio, inputs: ModelInput):
    for num_beams in (1, 2):
        with pytest.raises(ValueError, match="give generate a tokenizer"):
            generate(model, inputs, Sampling(stop=("a",), num_beams=num_beams), stop_ids=NEVER)
