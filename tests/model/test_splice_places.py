"""Audio tokens in their places: compared with a loop; any difference in number is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle.model.splice import splice


def by_loop(embeddings: torch.Tensor, is_audio: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
    result, rows = embeddings.clone(), iter(audio)
    for row in range(embeddings.shape[0]):
        for place in range(embeddings.shape[1]):
            if is_audio[row, place]:
                result[row, place] = next(rows)
    return result


@given(
    marks=st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=4)
    )
)
def test_row_i_goes_to_place_i(marks: list[list[bool]]):
    is_audio = torch.tensor(marks)
    embeddings = torch.arange(is_audio.numel() * 3.0).reshape(*is_audio.shape, 3)
    audio = -torch.arange(int(is_audio.sum()) * 3.0).reshape(-1, 3) - 1
    before = embeddings.clone()
    assert splice(embeddings, is_audio, audio).equal(by_loop(embeddings, is_audio, audio))
    assert embeddings.equal(before)


@pytest.mark.parametrize("num_rows", [0, 2, 4, 30])
def test_another_number_of_rows_is_refused(num_rows: int):
    is_audio = torch.tensor([[True, False, True], [False, False, True]])
    with pytest.raises(ValueError, match=rf"3 audio places in the prompts but {num_rows} audio tokens"):
        splice(torch.zeros(2, 3, 4), is_audio, torch.ones(num_rows, 4))


def test_audio_takes_the_embeddings_dtype():
    spliced = splice(torch.zeros(1, 1, 2, dtype=torch.bfloat16), torch.tensor([[True]]), torch.ones(1, 2))
    assert spliced.dtype == torch.bfloat16
    assert spliced.eq(1).all()


def test_gradients_reach_both_sides():
    embeddings, audio = torch.zeros(1, 3, 2, requires_grad=True), torch.ones(1, 2, requires_grad=True)
    splice(embeddings, torch.tensor([[False, True, False]]), audio).sum().backward()
    assert embeddings.grad is not None
    assert audio.grad is not None
    assert embeddings.grad[0, :, 0].tolist() == [1, 0, 1]
    assert audio.grad.tolist() == [[1, 1]]
