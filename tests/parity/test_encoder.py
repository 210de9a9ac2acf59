"""Door 2: encoder states, pooled states and audio tokens, against the reference's own forward on 3000 frames.

The reference hears random features in all 3000 frames, also where nothing is real; ours gets only the kept frames, in
one ragged batch. Whatever leaks from behind a recording's end shows.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional
from transformers import Qwen2AudioForConditionalGeneration

from auricle import units
from auricle.model import Qwen2Audio, audio_encoder

from .reference import AUDIO_ID, TOLERANCE, Shape, model_pair, relative

pytestmark = pytest.mark.parity

FRAMES = (7, 50, 101, 150, 1200, 3000)
CONTROL = 20 * TOLERANCE  # a negative control must miss by at least this; most miss a thousandfold


@dataclass(frozen=True)
class Doors:
    """states [S, D] of each window before pooling; pooled and normed states and audio tokens [A, D] of all windows."""

    states: list[torch.Tensor]
    pooled: torch.Tensor
    tokens: torch.Tensor


Pair = tuple[Qwen2AudioForConditionalGeneration, Qwen2Audio]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return model_pair(Shape(num_mel_bins=16), tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def ragged(pair: Pair) -> tuple[torch.Tensor, Doors]:
    """Features of one window for each of FRAMES, and what the reference makes of them."""
    features = random_features(len(FRAMES))
    return features, their_doors(pair[0], features, FRAMES)


def random_features(num_windows: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(num_windows, 16, units.WINDOW_FRAMES, generator=torch.Generator().manual_seed(seed))


def their_doors(reference: Qwen2AudioForConditionalGeneration, features: torch.Tensor, frames: Sequence[int]) -> Doors:
    """The reference's own forward over one prompt that holds all windows, listened to at its modules."""
    seen: dict[str, torch.Tensor] = {}
    tower, projector = reference.model.audio_tower, reference.model.multi_modal_projector

    def before_pool(_module, arguments) -> None:
        seen["states"] = arguments[0].transpose(1, 2)

    def at_projector(_module, arguments, output) -> None:
        seen["pooled"], seen["tokens"] = arguments[0], output

    hooks = [tower.avg_pooler.register_forward_pre_hook(before_pool), projector.register_forward_hook(at_projector)]
    num_tokens = [units.tokens_from_frames(n) for n in frames]
    mask = (torch.arange(units.WINDOW_FRAMES) < torch.tensor(frames)[:, None]).long()
    with torch.inference_mode():
        reference.model(
            input_ids=torch.full((1, sum(num_tokens)), AUDIO_ID),
            input_features=features,
            feature_attention_mask=mask,
        )
    for hook in hooks:
        hook.remove()
    return Doors(
        [row[: units.states_from_frames(n)] for row, n in zip(seen["states"], frames, strict=True)],
        torch.cat([row[:n] for row, n in zip(seen["pooled"], num_tokens, strict=True)]),
        torch.cat([row[:n] for row, n in zip(seen["tokens"], num_tokens, strict=True)]),
    )


def cut(features: torch.Tensor, frames: Sequence[int]) -> torch.Tensor:
    """Only the kept frames of each window, zeros after them, as long as the longest."""
    kept = [units.kept_frames(n) for n in frames]
    rows = [functional.pad(row[:, :n], (0, max(kept) - n)) for row, n in zip(features, kept, strict=True)]
    return torch.stack(rows)


def our_doors(model: Qwen2Audio, features: torch.Tensor, frames: Sequence[int]) -> Doors:
    heard = cut(features, frames)
    with torch.inference_mode():
        states, num_states = model.audio_tower.states(heard, list(frames))
        pooled = model.audio_tower(heard, list(frames))
        tokens = model.encode(heard, torch.tensor(frames))
    return Doors([row[:n] for row, n in zip(states, num_states, strict=True)], pooled, tokens)


def worst(ours: Doors, theirs: Doors) -> dict[str, float]:
    """The relative difference at each door; windows are compared one by one."""
    return {
        "states": max(relative(a, b) for a, b in zip(ours.states, theirs.states, strict=True)),
        "pooled": relative(ours.pooled, theirs.pooled),
        "tokens": relative(ours.tokens, theirs.tokens),
    }


def test_a_ragged_batch_equals_the_reference(pair: Pair, ragged: tuple[torch.Tensor, Doors]) -> None:
    features, theirs = ragged
    differences = worst(our_doors(pair[1], features, FRAMES), theirs)
    assert max(differences.values()) <= TOLERANCE, differences


@pytest.mark.parametrize("frames", [(3, 7), (4, 150, 5), (150, 150, 150), (101, 101), (2999,), (3000,)], ids=str)
def test_every_door_equals_the_reference(pair: Pair, frames: tuple[int, ...]) -> None:
    reference, model = pair
    features = random_features(len(frames))
    differences = worst(our_doors(model, features, frames), their_doors(reference, features, frames))
    assert max(differences.values()) <= TOLERANCE, differences


def test_a_window_is_heard_alike_in_any_company(pair: Pair, ragged: tuple[torch.Tensor, Doors]) -> None:
    model, features = pair[1], ragged[0]
    together = our_doors(model, features, FRAMES)
    for window, num_frames in enumerate(FRAMES):
        with torch.inference_mode():
            alone, _ = model.audio_tower.states(cut(features[window : window + 1], [num_frames]), [num_frames])
        assert relative(alone[0], together.states[window]) <= TOLERANCE


def test_without_the_pool_it_fails(
    pair: Pair, ragged: tuple[torch.Tensor, Doors], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: every other state in the place of the mean of two."""
    features, theirs = ragged
    monkeypatch.setattr(
        functional, "avg_pool1d", lambda x, kernel_size, stride: x[..., : x.shape[-1] // 2 * 2 : stride]
    )
    differences = worst(our_doors(pair[1], features, FRAMES), theirs)
    assert differences["states"] <= TOLERANCE
    assert min(differences["pooled"], differences["tokens"]) > CONTROL, differences


def test_with_the_norm_before_the_pool_it_fails(pair: Pair) -> None:
    """Negative control: the other order of the last two steps."""
    reference, model = pair
    features = random_features(1)
    theirs = their_doors(reference, features, [3000])
    normed = model.audio_tower.layer_norm(our_doors(model, features, [3000]).states[0])
    assert relative(normed.unflatten(0, (-1, 2)).mean(dim=1), theirs.pooled) > CONTROL


def test_without_the_key_mask_it_fails(
    pair: Pair, ragged: tuple[torch.Tensor, Doors], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: short windows see the padding of the batch."""
    features, theirs = ragged
    monkeypatch.setattr(audio_encoder, "_key_mask", lambda num_states, device: None)
    differences = worst(our_doors(pair[1], features, FRAMES), theirs)
    assert min(differences.values()) > CONTROL, differences


@pytest.mark.parametrize("num_frames", [8, 99, 100])
def test_without_the_crop_it_fails(pair: Pair, monkeypatch: pytest.MonkeyPatch, num_frames: int) -> None:
    """Negative control: all the convolution's output is taken for real states, as many as the kept frames make.

    With these lengths the one state too many is dropped again by the pooling: only what it told its neighbours in
    attention is left to notice. (With others there would be an audio token too many.)
    """
    reference, model = pair
    features = random_features(1)
    theirs = their_doors(reference, features, [num_frames])
    assert relative(our_doors(model, features, [num_frames]).tokens, theirs.tokens) <= TOLERANCE
    num_kept, from_frames = units.kept_frames(num_frames), units.states_from_frames
    monkeypatch.setattr(units, "states_from_frames", lambda _: from_frames(num_kept))
    ours = our_doors(model, features, [num_frames])
    assert len(ours.states[0]) == len(theirs.states[0]) + 1
    assert relative(ours.states[0][:-1], theirs.states[0]) > CONTROL
    assert relative(ours.tokens, theirs.tokens) > CONTROL


@pytest.mark.parametrize("num_frames", [7, 50, 101, 150])
def test_without_the_frames_after_the_end_it_fails(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, num_frames: int
) -> None:
    """Negative control: only the real frames are kept, so the convolutions see zeros where the reference sees mel."""
    reference, model = pair
    features = random_features(1)
    theirs = their_doors(reference, features, [num_frames])
    monkeypatch.setattr(units, "kept_frames", lambda n: n)
    differences = worst(our_doors(model, features, [num_frames]), theirs)
    assert min(differences.values()) > CONTROL, differences


@pytest.mark.parametrize("num_frames", [7, 101])
def test_one_kept_frame_less_fails(pair: Pair, monkeypatch: pytest.MonkeyPatch, num_frames: int) -> None:
    """Negative control: `kept_frames` is exact: after an odd number of frames the second one is needed too."""
    reference, model = pair
    features = random_features(1)
    theirs = their_doors(reference, features, [num_frames])
    kept = units.kept_frames
    monkeypatch.setattr(units, "kept_frames", lambda n: kept(n) - 1)
    differences = worst(our_doors(model, features, [num_frames]), theirs)
    assert differences["states"] > CONTROL, differences


def scaled_down(model: torch.nn.Module) -> torch.nn.Module:
    """A copy whose states are so small that the epsilon of the layer norms matters."""
    model = deepcopy(model)
    for name, parameter in model.named_parameters():
        if "audio_tower" in name and "norm" not in name:
            parameter.mul_(0.05)
    return model


def test_the_epsilon_of_the_norms_is_the_references(pair: Pair) -> None:
    reference, model = (scaled_down(one) for one in pair)
    features = random_features(2)
    theirs = their_doors(reference, features, [101, 150])
    differences = worst(our_doors(model, features, [101, 150]), theirs)
    assert max(differences.values()) <= TOLERANCE, differences
    for module in model.audio_tower.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-6  # negative control: the decoder's usual one
    differences = worst(our_doors(model, features, [101, 150]), theirs)
    assert min(differences.values()) > CONTROL, differences
