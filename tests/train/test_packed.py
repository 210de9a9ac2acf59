"""Packed equals one by one: the loss and every gradient of a pack, against the dense forward of each sequence alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from auricle import units
from auricle.audio import Mel
from auricle.data import Label, Pack, make_pack
from auricle.model import PackedInput, Qwen2Audio, packed, packed_hidden
from auricle.model.layers import Attend
from auricle.prepare import Prepared, Prompt, collate, pack
from auricle.train.trainee import Trainee

TOLERANCE = 1e-5  # of the loss, and of each parameter's gradient over its largest value
CONTROL = 100 * TOLERANCE
LABEL = Label("here", "random", "asr")

Row = tuple[int | str, ...]
"""A sequence: an int is so many text tokens, the last of them learnt; a letter is a window of that name."""

SHAPES = (
    {},
    {"num_kv_heads": 4},
    {"tied_head": True},
    {"num_kv_heads": 1, "sliding_window": 5, "sliding_layers": (1,)},
)


@dataclass(frozen=True)
class Case:
    """Sequences, and the real frames of each window that they may hear."""

    rows: tuple[Row, ...]
    frames: dict[str, int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    frames = draw(st.dictionaries(st.sampled_from("abcd"), st.integers(3, 90)))
    parts = [st.integers(2, 9)] + ([st.sampled_from(sorted(frames))] if frames else [])
    row = st.tuples(st.integers(2, 5), *[st.one_of(parts)] * draw(st.integers(0, 4)))
    return Case(tuple(draw(st.lists(row, min_size=1, max_size=4))), frames)


def sequences(case: Case, model: Qwen2Audio, *, seed: int = 0) -> list[Prepared]:
    """Random text and features; a letter is one Mel in all sequences."""
    generator = torch.Generator().manual_seed(seed)
    bins, audio_id = model.config.audio.num_mel_bins, model.config.audio_token_id
    mels = {
        name: Mel(torch.randn(bins, units.kept_frames(num), generator=generator), num)
        for name, num in case.frames.items()
    }
    prepared = []
    for row in case.rows:
        ids, loss, spans, heard = [], [], [], []
        for part in row:
            num = part if isinstance(part, int) else units.tokens_from_frames(mels[part].num_frames)
            if isinstance(part, int):
                ids += torch.randint(audio_id, (num,), generator=generator).tolist()
                loss += [False] * (num - 1) + [True]
            else:
                spans.append((len(ids), len(ids) + num))
                heard.append(mels[part])
                ids += [audio_id] * num
                loss += [False] * num
        prepared.append(Prepared(Prompt(tuple(ids), tuple(loss), tuple(spans)), tuple(heard)))
    return prepared


def make(rows: Sequence[Prepared]) -> Pack:
    return make_pack([(one, LABEL) for one in rows])


Outcome = tuple[torch.Tensor, dict[str, torch.Tensor]]


def outcome(model: Qwen2Audio, nll: Callable[[], torch.Tensor]) -> Outcome:
    """The negative log-likelihoods, and the gradient of their mean for every parameter (zero for what is unused)."""
    model.zero_grad()
    nll_P = nll()
    nll_P.mean().backward()
    return nll_P.detach(), {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in model.named_parameters()
    }


def one_by_one(model: Qwen2Audio, rows: Sequence[Prepared]) -> torch.Tensor:
    """The oracle: every sequence through the dense forward alone, with plain cross-entropy."""
    losses = []
    for one in rows:
        logits_TV = model(collate([one], pad_id=0))[0].float()
        counts = torch.tensor(one.prompt.loss[1:])
        losses.append(
            functional.cross_entropy(logits_TV[:-1][counts], torch.tensor(one.prompt.ids[1:])[counts], reduction="none")
        )
    return torch.cat(losses)


def together(model: Qwen2Audio, rows: Sequence[Prepared]) -> torch.Tensor:
    return Trainee(model)(make(rows))


def difference(ours: Outcome, oracle: Outcome) -> dict[str, float]:
    """By name, relative to the oracle's largest value of that name.

    A gradient below a hundredth of the model's largest is measured by that: with a single token in sight the true
    gradient of the queries is nothing but rounding.
    """
    pairs = {"loss": (ours[0], oracle[0])} | {name: (ours[1][name], grad) for name, grad in oracle[1].items()}
    floor = max(float(grad.abs().max()) for grad in oracle[1].values()) / 100
    return {name: float((a - b).abs().max()) / max(float(b.abs().max()), floor) for name, (a, b) in pairs.items()}


def worst(model: Qwen2Audio, case: Case) -> float:
    rows = sequences(case, model)
    oracle = outcome(model, lambda: one_by_one(model, rows))
    differences = difference(outcome(model, lambda: together(model, rows)), oracle)
    assert set(differences) == {"loss", *dict(model.named_parameters())}
    return max(differences.values())


@pytest.fixture(scope="module")
def learner(tiny_model: Callable[..., Qwen2Audio]) -> Callable[..., Qwen2Audio]:
    """A model whose gradients are wanted, its matrices small enough that float32's rounding is not blown up."""

    def make_learner(**text: Any) -> Qwen2Audio:
        model = tiny_model(**text).requires_grad_(True)
        with torch.no_grad():
            for parameter in dict.fromkeys(model.parameters()):
                parameter.mul_(0.4 if parameter.ndim > 1 else 1)
        return model

    return make_learner


MIXED = Case(((5, "a", 3), (4,), (2, "b", 3, "c", 2), (2, "a", 9)), {"a": 101, "b": 50, "c": 7})


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_random_packs_equal_one_by_one(learner: Callable[..., Qwen2Audio], shape: dict) -> None:
    model = learner(**shape)

    @settings(max_examples=25)
    @given(case=cases())
    def check(case: Case) -> None:
        assert worst(model, case) <= TOLERANCE, case

    check()


@pytest.mark.parametrize("row", [("a",), (3, "a", 2, "b", 2), (2, "b", "a", 4)], ids=str)
@pytest.mark.parametrize("frames", [(3, 4), (5, 6), (7, 3000), (2999, 8), (2998, 2999)], ids=str)
def test_windows_of_every_end_are_encoded_as_alone(
    learner: Callable[..., Qwen2Audio], row: Row, frames: tuple[int, int]
) -> None:
    """Odd and even frames and states, the shortest windows, and those that end where the encoder's window does."""
    model = learner().requires_grad_(False)
    rows = sequences(Case((row,), dict(zip("ab", frames, strict=True))), model)
    mels = [mel for one in rows for mel in one.mels]
    alone = [model.encode(mel.features[None], torch.tensor([mel.num_frames])) for mel in mels]
    inputs = pack(rows)
    ours = packed.packed_encode(model, inputs.features, inputs.num_frames)
    assert relative(ours, torch.cat(alone)) <= TOLERANCE


def test_what_lies_behind_the_kept_frames_is_never_heard(learner: Callable[..., Qwen2Audio]) -> None:
    """Windows that were padded to 30 s, as other feature extractors give them."""
    model = learner().requires_grad_(False)
    inputs = make(sequences(MIXED, model)).inputs
    padded = tuple(functional.pad(window, (0, 3000 - window.shape[1]), value=9.0) for window in inputs.features)
    assert torch.equal(packed_hidden(model, replace(inputs, features=padded)), packed_hidden(model, inputs))


def relative(ours: torch.Tensor, oracle: torch.Tensor) -> float:
    assert ours.shape == oracle.shape
    return float((ours - oracle).detach().abs().max() / oracle.detach().abs().max())


def test_a_leak_between_sequences_or_windows_is_noticed(
    learner: Callable[..., Qwen2Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: one segment for the decoder, then one for the encoder."""
    model, segmented = learner(), packed.packed_attention
    assert worst(model, MIXED) <= TOLERANCE
    for leaky in (True, False):

        def attention(lengths: Sequence[int], *, causal: bool, leaky: bool = leaky, **rest: Any) -> Attend:
            return segmented([sum(lengths)] if causal is leaky else lengths, causal=causal, **rest)

        monkeypatch.setattr(packed, "packed_attention", attention)
        assert worst(model, MIXED) > CONTROL


def test_a_token_that_sees_the_next_is_noticed(
    learner: Callable[..., Qwen2Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: a decoder without the causal mask; a sliding window that is not respected."""
    model, segmented = learner(), packed.packed_attention
    monkeypatch.setattr(
        packed, "packed_attention", lambda lengths, **rest: segmented(lengths, **rest | {"causal": False})
    )
    assert worst(model, MIXED) > CONTROL
    monkeypatch.setattr(
        packed, "packed_attention", lambda lengths, **rest: segmented(lengths, **rest | {"window": None})
    )
    assert worst(model, MIXED) <= TOLERANCE
    assert worst(learner(**SHAPES[-1]), MIXED) > CONTROL


def test_a_token_outside_of_the_answers_weighs_nothing(learner: Callable[..., Qwen2Audio]) -> None:
    """Negative control of the oracle: a target moved by one place is another loss."""
    model = learner()
    rows = sequences(MIXED, model)
    ours = make(rows)
    moved = replace(ours, places=(ours.places - 1).clamp(min=0))
    oracle = one_by_one(model, rows)
    assert relative(Trainee(model)(ours), oracle) <= TOLERANCE
    assert relative(Trainee(model)(moved), oracle) > CONTROL


def test_a_window_heard_twice_is_encoded_once(learner: Callable[..., Qwen2Audio]) -> None:
    model, seen = learner(), []
    model.audio_tower.layers[0].register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].shape[1]))
    packed_hidden(model, make(sequences(MIXED, model)).inputs)
    assert seen == [sum(units.states_from_frames(num) for num in MIXED.frames.values())]


def test_a_pack_without_sound_runs_no_encoder(learner: Callable[..., Qwen2Audio]) -> None:
    model = learner()
    model.audio_tower.layers[0].register_forward_pre_hook(lambda module, arguments: pytest.fail("the encoder ran"))
    case = Case(((7,), (3, 2)), {})
    assert worst(model, case) <= TOLERANCE


def test_a_pack_of_nothing_gives_gradients_of_zero(learner: Callable[..., Qwen2Audio]) -> None:
    model = learner()
    nll_P = Trainee(model)(make([]))
    assert nll_P.shape == (0,)
    nll_P.sum().backward()
    silent = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert silent == {name for name in dict(model.named_parameters()) if not name.startswith("language_model")}
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())


def test_a_window_that_nobody_hears_gives_its_encoder_gradients_of_zero(learner: Callable[..., Qwen2Audio]) -> None:
    """So that a rank without sound can take part in the reduction of the encoder's gradients."""
    model = learner()
    text = make(sequences(Case(((4, 3),), {}), model))
    plain_P = Trainee(model)(text)
    silent = Mel(torch.zeros(16, units.kept_frames(4)), 4)
    inputs = replace(text.inputs, features=(silent.features,), num_frames=(4,))
    nll_P = Trainee(model)(replace(text, inputs=inputs))
    nll_P.sum().backward()
    assert torch.equal(nll_P, plain_P)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any() == name.startswith("language_model"), name


def test_a_pack_whose_sound_does_not_fit_its_places_is_refused(learner: Callable[..., Qwen2Audio]) -> None:
    model = learner()
    inputs = make(sequences(MIXED, model)).inputs
    with pytest.raises(ValueError, match="audio places in the prompts but"):
        packed_hidden(model, replace(inputs, heard=inputs.heard[1:]))


def test_positions_restart() -> None:
    inputs = PackedInput(torch.zeros(6, dtype=torch.int64), (2, 1, 3), (), (), ())
    assert inputs.positions.tolist() == [0, 1, 0, 0, 1, 2]
