"""Linear maps through oneDNN: equal but for rounding, sharing every parameter, out of the way of gradients."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from auricle.extend import use_onednn
from auricle.extend.onednn import OneDnnLinear, block_rows
from auricle.model import Qwen2Audio

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


@given(
    shape=st.lists(st.integers(1, 7), min_size=0, max_size=3),
    widths=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_equals_the_plain_map(shape: list[int], widths: tuple[int, int], bias: bool, seed: int) -> None:
    torch.manual_seed(seed)
    plain = nn.Linear(*widths, bias=bias)
    model = nn.Sequential(plain)
    use_onednn(model)
    x = torch.randn(*shape, widths[0])
    with torch.inference_mode():
        torch.testing.assert_close(model(x), plain(x), rtol=1e-5, atol=1e-5)
        every_other = torch.randn(*shape, 2 * widths[0])[..., ::2]
        torch.testing.assert_close(model(every_other), plain(every_other), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_rows", [0, 1, 3, 64, 65, 511, 512, 513, 1100])
def test_blocks_of_rows_make_the_whole(num_rows: int) -> None:
    torch.manual_seed(num_rows)
    plain = nn.Linear(5, 3)
    model = nn.Sequential(plain)
    use_onednn(model)
    x = torch.randn(num_rows, 5)
    with torch.inference_mode():
        torch.testing.assert_close(model(x), plain(x), rtol=1e-5, atol=1e-5)


def test_few_shapes_are_ever_seen() -> None:
    """Whatever the number of rows: oneDNN keeps memory for each."""
    sizes = {block_rows(num_rows) for num_rows in range(1, 513)}
    assert sizes == {1, 2, 4, 8, 16, 32, *range(64, 513, 64)}
    assert all(num_rows <= block_rows(num_rows) < 2 * num_rows for num_rows in range(1, 513))


def test_every_linear_map_is_swapped_and_every_parameter_kept(tiny_model: Callable[..., Qwen2Audio]) -> None:
    model = tiny_model(tied_head=True)
    before = dict(model.named_parameters())
    use_onednn(model)
    after = dict(model.named_parameters())
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    assert model.language_model.lm_head.weight is model.language_model.model.embed_tokens.weight
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert linears
    assert {type(module) for module in linears} == {OneDnnLinear}
    assert not any(module.training for module in model.modules())


def test_a_subclass_is_left_alone() -> None:
    class Own(nn.Linear):
        pass

    model = nn.Sequential(Own(2, 2))
    use_onednn(model)
    assert type(model[0]) is Own


def test_gradients_are_those_of_the_plain_map() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 2))
    other = deepcopy(model)
    use_onednn(model)
    x = torch.randn(4, 5)
    model(x).square().sum().backward()
    other(x).square().sum().backward()
    for mine, plain in zip(model.parameters(), other.parameters(), strict=True):
        assert mine.grad is not None
        assert torch.equal(mine.grad, plain.grad)


def test_other_numbers_go_the_plain_way() -> None:
    model = nn.Sequential(nn.Linear(4, 4)).to(torch.bfloat16)
    plain = deepcopy(model)
    use_onednn(model)
    x = torch.randn(2, 4, dtype=torch.bfloat16)
    with torch.inference_mode():
        assert torch.equal(model(x), plain(x))


def test_the_operator_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without it every test above would pass."""
    model = nn.Sequential(nn.Linear(4, 4))
    use_onednn(model)
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: pytest.fail("the plain map was called"))
    with torch.inference_mode():
        assert model(torch.ones(4)).shape == (4,)
