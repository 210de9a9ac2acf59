"""The encoder and the whole model: a batch is its clips one at a time, and nothing reads past real sound or padding."""

from collections.abc import Callable

import pytest
import torch

from auricle import units
from auricle.audio import Mel
from auricle.model import ModelInput, Qwen2Audio
from auricle.prepare import Prepared, Prompt, collate

Make = Callable[..., Qwen2Audio]
FRAMES = [3, 4, 37, 100, 101, 64]


def random_mel(num_frames: int) -> Mel:
    generator = torch.Generator().manual_seed(num_frames)
    return Mel(torch.randn(16, units.kept_frames(num_frames), generator=generator), num_frames)


def prepared(model: Qwen2Audio, *num_frames: int, text: tuple[int, ...] = (1, 2, 3)) -> Prepared:
    ids, spans = list(text), []
    for count in num_frames:
        num_tokens = units.tokens_from_frames(count)
        spans.append((len(ids), len(ids) + num_tokens))
        ids += [model.config.audio_token_id] * num_tokens + [5]
    return Prepared(Prompt(tuple(ids), (False,) * len(ids), tuple(spans)), tuple(map(random_mel, num_frames)))


def encode(model: Qwen2Audio, mels: list[Mel]) -> torch.Tensor:
    batch = collate([Prepared(Prompt((1,), (False,), ()), ())], pad_id=0)
    longest = max(mel.features.shape[1] for mel in mels)
    features = torch.stack([torch.nn.functional.pad(m.features, (0, longest - m.features.shape[1])) for m in mels])
    assert not len(batch.features)
    return model.encode(features, torch.tensor([mel.num_frames for mel in mels]))


def test_ragged_clips_in_one_batch_equal_one_at_a_time(tiny_model: Make):
    model = tiny_model()
    mels = [random_mel(num_frames) for num_frames in FRAMES]
    together = encode(model, mels)
    alone = torch.cat([encode(model, [mel]) for mel in mels])
    assert together.shape == (sum(map(units.tokens_from_frames, FRAMES)), 32)
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("num_frames", [6, 7, 100, 101])
def test_tokens_depend_on_every_kept_frame_and_on_nothing_after(num_frames: int, tiny_model: Make):
    """The negative half: a last kept frame of another value must show, else `kept_frames` could be too generous."""
    model = tiny_model()
    mel = random_mel(num_frames)
    expected = encode(model, [mel])
    longer = Mel(torch.cat((mel.features, torch.full((16, 9), 50.0)), dim=1), num_frames)
    torch.testing.assert_close(encode(model, [longer]), expected, atol=1e-5, rtol=1e-5)
    changed = Mel(mel.features.clone(), num_frames)
    changed.features[:, -1] += 3
    states, changed_states = (model.audio_tower.states(each.features[None], [num_frames])[0] for each in (mel, changed))
    assert (states - changed_states).abs().max() > 1e-3


def test_recordings_land_in_their_own_prompts(tiny_model: Make):
    model = tiny_model()
    items = [prepared(model, 20, 41), prepared(model), prepared(model, 9, text=(1, 2, 3, 4, 6))]
    inputs = collate(items, pad_id=model.config.audio_token_id)  # a pad that looks like a place must not be one
    embeddings = model.embed(inputs)
    heard = iter(encode(model, [mel for item in items for mel in item.mels]))
    table = model.language_model.model.embed_tokens.weight
    for row, item in enumerate(items):
        start = inputs.ids.shape[1] - len(item.prompt.ids)
        for place, token_id in enumerate(item.prompt.ids):
            expected = next(heard) if token_id == model.config.audio_token_id else table[token_id]
            torch.testing.assert_close(embeddings[row, start + place], expected, atol=2e-5, rtol=1e-5)


def test_a_padded_batch_scores_like_single_prompts(tiny_model: Make):
    model = tiny_model()
    items = [prepared(model, 20, 41), prepared(model, text=(9,)), prepared(model, 9)]
    together = model(collate(items, pad_id=0))
    for row, item in enumerate(items):
        alone = model(collate([item], pad_id=0))[0]
        torch.testing.assert_close(together[row, -len(alone) :], alone, atol=5e-5, rtol=1e-4)


def test_the_future_does_not_change_the_past_but_the_past_the_future(tiny_model: Make):
    model = tiny_model()
    inputs = collate([prepared(model, 20, text=(1, 2, 3, 4))], pad_id=0)
    other = ModelInput(inputs.ids.clone(), inputs.valid, inputs.features, inputs.num_frames)
    other.ids[0, 2] = 17
    changed = (model(inputs) - model(other))[0].abs().amax(dim=1)
    assert changed[:2].max() < 1e-5
    assert changed[2:].min() > 1e-3


def test_sound_changes_what_follows_it(tiny_model: Make):
    model = tiny_model()
    inputs = collate([prepared(model, 20)], pad_id=0)
    louder = ModelInput(inputs.ids, inputs.valid, inputs.features * 2, inputs.num_frames)
    changed = (model(inputs) - model(louder))[0].abs().amax(dim=1)
    assert changed[:3].max() == 0
    assert changed[-1] > 1e-3


@pytest.mark.parametrize("frames_given", [[], [20, 20]])
def test_places_without_as_many_recordings_are_refused(frames_given: list[int], tiny_model: Make):
    model = tiny_model()
    inputs = collate([prepared(model, 20)], pad_id=0)
    other = collate([prepared(model, *frames_given)], pad_id=0)
    mixed = ModelInput(inputs.ids, inputs.valid, other.features, other.num_frames)
    with pytest.raises(ValueError, match=rf"5 audio places in the prompts but {5 * len(frames_given)} audio tokens"):
        model(mixed)


def test_a_tied_head_is_the_embedding_table(tiny_model: Make):
    tied, untied = tiny_model(tied_head=True), tiny_model(tied_head=False)
    assert tied.language_model.lm_head.weight is tied.language_model.model.embed_tokens.weight
    assert untied.language_model.lm_head.weight is not untied.language_model.model.embed_tokens.weight
    count = sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in tied.parameters())
    assert count == 384 * 32
