"""The projector in closed form against the textbook's solution on all states at once, and what it must not accept."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle.audio import Waveform, log_mel
from auricle.errors import UserError
from auricle.extend import RidgeFit, fit_projector
from auricle.extend.ridge import RIDGE, lay_out
from auricle.model import Qwen2Audio
from auricle.text import Tokenizer

WORDS = ("the quick brown fox", "jumps", "over the lazy dog, again", "What is said? Who speaks?", "Audio 1:")
Spoken = list[tuple[Waveform, str]]


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., Qwen2Audio]) -> Qwen2Audio:
    return tiny_model()


@pytest.fixture(scope="module")
def spoken(noise: Callable[..., np.ndarray], sine: Callable[..., np.ndarray]) -> Spoken:
    def sound(number: int) -> Waveform:
        """Longer and higher with every number."""
        duration_s = 0.5 + number / 4
        return Waveform(noise(duration_s, seed=number) * 0.2 + sine(duration_s, hz=200.0 * 2**number))

    return [(sound(number), text) for number, text in enumerate(WORDS)]


def fit(model: Qwen2Audio, tokenizer: Tokenizer, spoken: Spoken) -> RidgeFit:
    return fit_projector(model.audio_tower, model.language_model.model.embed_tokens.weight, tokenizer, spoken)


def everything(model: Qwen2Audio, tokenizer: Tokenizer, spoken: Spoken) -> tuple[torch.Tensor, torch.Tensor]:
    """All encoder tokens and all embeddings said at them, float64."""
    table = model.language_model.model.embed_tokens.weight
    heard, said = [], []
    for waveform, text in spoken:
        mel = log_mel(waveform, num_mel_bins=16)
        heard.append(model.audio_tower(mel.features[None], [mel.num_frames]).double())
        said.append(table[lay_out(tokenizer, text, len(heard[-1]))].double())
    return torch.cat(heard), torch.cat(said)


def test_sums_give_the_textbooks_solution(model: Qwen2Audio, tokenizer: Tokenizer, spoken: Spoken):
    """Ridge regression as least squares with one more row of sqrt(penalty) per input, on centred data."""
    x, y = everything(model, tokenizer, spoken)
    centred_x, centred_y = x - x.mean(0), y - y.mean(0)
    penalty = RIDGE * centred_x.square().sum(0).mean()
    rows = torch.cat((centred_x, penalty.sqrt() * torch.eye(x.shape[1])))
    targets = torch.cat((centred_y, torch.zeros(x.shape[1], y.shape[1])))
    weight = torch.linalg.lstsq(rows, targets).solution
    fitted = centred_x @ weight
    explained = 1 - (centred_y - fitted).square().sum() / centred_y.square().sum()
    weight *= model.language_model.model.embed_tokens.weight.std() / fitted.std()

    got = fit(model, tokenizer, spoken)
    torch.testing.assert_close(got.weight, weight.T.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got.bias, (y.mean(0) - x.mean(0) @ weight).float(), rtol=1e-4, atol=1e-4)
    assert got.explained == pytest.approx(explained.item(), rel=1e-6)
    assert 0 < got.explained < 1


def test_what_it_gives_looks_like_words(model: Qwen2Audio, tokenizer: Tokenizer, spoken: Spoken):
    x, y = everything(model, tokenizer, spoken)
    got = fit(model, tokenizer, spoken)
    projected = x.float() @ got.weight.T + got.bias
    torch.testing.assert_close(projected.mean(0), y.mean(0).float(), rtol=1e-3, atol=1e-3)
    table = model.language_model.model.embed_tokens.weight
    assert (projected - projected.mean(0)).std().item() == pytest.approx(table.std().item(), rel=1e-3)


def test_order_and_splitting_do_not_matter(model: Qwen2Audio, tokenizer: Tokenizer, spoken: Spoken):
    first, again = fit(model, tokenizer, spoken), fit(model, tokenizer, spoken[::-1])
    torch.testing.assert_close(first.weight, again.weight)
    torch.testing.assert_close(first.bias, again.bias)


def test_the_right_words_are_explained_better(model: Qwen2Audio, tokenizer: Tokenizer, spoken: Spoken):
    """Five pitches that always say the same word are told apart; the same sounds with words at random are not."""
    recordings = [recording for recording, _ in spoken] * 4
    named = [(one, WORDS[i % 5]) for i, one in enumerate(recordings)]
    order = np.random.default_rng(0).integers(0, 5, len(recordings))
    shuffled = [(one, WORDS[i]) for one, i in zip(recordings, order, strict=True)]
    assert fit(model, tokenizer, named).explained > 1.5 * fit(model, tokenizer, shuffled).explained


@given(text=st.text(st.sampled_from("abc dé?"), min_size=1).filter(str.strip), num_audio=st.integers(1, 60))
def test_words_take_their_share_of_the_time(text: str, num_audio: int, tokenizer: Tokenizer):
    ids = tokenizer.encode(f" {text}")
    laid = lay_out(tokenizer, text, num_audio)
    assert len(laid) == num_audio
    runs = [laid[0]] + [b for a, b in itertools.pairwise(laid) if a != b]
    rest = iter(ids)
    assert all(token_id in rest for token_id in runs)  # in their order
    sizes = [max(1, len(tokenizer.decode([token_id]))) for token_id in ids]
    for token_id in set(ids):
        share = sum(size for size, i in zip(sizes, ids, strict=True) if i == token_id) / sum(sizes) * num_audio
        assert abs(laid.count(token_id) - share) <= ids.count(token_id) + 1e-6


@pytest.mark.parametrize("text", ["a the quick brown fox", "the quick brown fox jumps a"])
def test_one_audio_token_is_the_middle_of_the_text(text: str, tokenizer: Tokenizer):
    """A token stands for the middle of its span, not for its beginning or its end."""
    ids = tokenizer.encode(f" {text}")
    characters = [token_id for token_id in ids for _ in tokenizer.decode([token_id])]
    assert lay_out(tokenizer, text, 1) == [characters[len(characters) // 2]]
    assert characters[len(characters) // 2] not in (characters[0], characters[-1])


def test_what_cannot_be_fitted(model: Qwen2Audio, tokenizer: Tokenizer, spoken: Spoken):
    recording, _ = spoken[0]
    for given_, sentence in (
        ([], "no recordings to fit the projector to"),
        ([(recording, " ")], "a recording has no words"),
        ([(recording, "a")], "every recording sounds the same, or says the same"),
        ([(Waveform(np.zeros(31 * 16000, np.float32)), "long")], "one mel window holds at most 30 s"),
    ):
        with pytest.raises(UserError, match=sentence):
            fit(model, tokenizer, given_)
