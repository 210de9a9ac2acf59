"""The projector in closed form: one ridge regression from encoder tokens to the words' own embeddings.

Each utterance's text tokens are laid over its audio tokens in proportion to their characters; the map that best
turns the latter into the embeddings of the former is where training starts.

Axes: A audio tokens, D encoder width, E decoder width, V vocabulary.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from auricle.audio import Waveform, log_mel
from auricle.errors import UserError
from auricle.model.audio_encoder import AudioEncoder
from auricle.text import Tokenizer

RIDGE = 0.01  # of the mean of the Gram matrix's diagonal


@dataclass(frozen=True, slots=True)
class RidgeFit:
    """weight [E, D] and bias [E] of the projector, float32; `explained` of the embeddings' variance, 1 being all."""

    weight: torch.Tensor
    bias: torch.Tensor
    explained: float


def fit_projector(
    encoder: AudioEncoder, embeddings_VE: torch.Tensor, tokenizer: Tokenizer, spoken: Iterable[tuple[Waveform, str]]
) -> RidgeFit:
    """Fit the projector on recordings and their words.

    What it gives has the mean of the words' embeddings and the standard deviation of the whole table. Only sums are
    kept, so that any number of recordings fits into memory.

    Args:
        encoder: float32, on the CPU.
        embeddings_VE: the decoder's table.
        tokenizer: the decoder's.
        spoken: recordings of at most 30 s, and what is said in each.

    Raises:
        UserError: there is no recording, one is too long or without words, or all sound the same.
    """
    sums = _Sums(encoder.layer_norm.normalized_shape[0], embeddings_VE.shape[1])
    for waveform, text in spoken:
        mel = log_mel(waveform, num_mel_bins=encoder.conv1.in_channels)
        with torch.inference_mode():
            heard_AD = encoder(mel.features[None], [mel.num_frames])
        said_AE = embeddings_VE[lay_out(tokenizer, text, len(heard_AD))]
        sums.add(heard_AD.double(), said_AE.double())
    return sums.solve(embeddings_VE.float().std().item())


def lay_out(tokenizer: Tokenizer, text: str, num_audio: int) -> list[int]:
    """One text id per audio token, each id for as long as its share of the characters.

    Worked example: `a bcd` as the tokens ` a` and ` bcd` (2 and 4 characters) over three audio tokens is one of the
    first and two of the second.
    """
    ids = tokenizer.encode(f" {text}") if text.strip() else []
    if not ids:
        raise UserError("a recording has no words; expected its text, or leave the line out")
    ends = list(itertools.accumulate(max(1, len(tokenizer.decode([token_id]))) for token_id in ids))
    places = ((torch.arange(num_audio) + 0.5) / num_audio * ends[-1]).tolist()
    return [ids[next(i for i, end in enumerate(ends) if place < end)] for place in places]


class _Sums:
    """What a regression needs of any number of examples, in float64."""

    def __init__(self, width_in: int, width_out: int) -> None:
        self._num = 0
        self._x, self._y = torch.zeros(width_in).double(), torch.zeros(width_out).double()
        self._xx, self._xy = torch.zeros(width_in, width_in).double(), torch.zeros(width_in, width_out).double()
        self._yy = 0.0

    def add(self, x_AD: torch.Tensor, y_AE: torch.Tensor) -> None:
        self._num += len(x_AD)
        self._x += x_AD.sum(dim=0)
        self._y += y_AE.sum(dim=0)
        self._xx += x_AD.T @ x_AD
        self._xy += x_AD.T @ y_AE
        self._yy += y_AE.square().sum().item()

    def solve(self, std: float) -> RidgeFit:
        """The fit, its output rescaled to a standard deviation."""
        if not self._num:
            raise UserError("no recordings to fit the projector to; expected at least one line in the manifest")
        mean_x, mean_y = self._x / self._num, self._y / self._num
        gram = self._xx - self._num * torch.outer(mean_x, mean_x)
        cross = self._xy - self._num * torch.outer(mean_x, mean_y)
        total = self._yy - self._num * mean_y.square().sum().item()
        if not (gram.diagonal().sum() > 0 and total > 0):
            raise UserError("every recording sounds the same, or says the same; expected different ones to fit to")
        weight = torch.linalg.solve(gram + torch.eye(len(gram)) * gram.diagonal().mean() * RIDGE, cross)
        fitted = (weight * (gram @ weight)).sum().item()
        residual = total - 2 * (weight * cross).sum().item() + fitted
        weight *= std / (fitted / (self._num * len(mean_y) - 1)) ** 0.5
        return RidgeFit(weight.T.float(), (mean_y - mean_x @ weight).float(), 1 - residual / total)
