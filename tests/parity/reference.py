"""Tiny random models of transformers, the same weights through the shipping converter, and batches for both."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

from auricle import units
from auricle.audio import Waveform, log_mel
from auricle.model import KVCache, ModelInput, Qwen2Audio
from auricle.prepare import Prepared, Prompt, collate
from auricle.weights import read_model

TOLERANCE = 1e-4  # of every door behind the mel: largest difference over the reference's largest value
MEL_TOLERANCE = 1e-5  # absolute
VOCAB_SIZE, AUDIO_ID, PAD_ID = 96, 90, 0
NUM_LAYERS = 2  # of the encoder and of the decoder


@dataclass(frozen=True)
class Shape:
    """What the tiny models differ in; the epsilon and theta are far from any default, so that a default would show."""

    heads: int = 4
    kv_heads: int = 2
    tied: bool = False
    head_width: int = 8
    num_mel_bins: int = 80
    window: int | None = None
    sliding_layers: tuple[int, ...] = ()

    def __str__(self) -> str:
        name = f"{self.heads}/{self.kv_heads}x{self.head_width}-{'tied' if self.tied else 'untied'}"
        return f"{name}-window {self.window} in {self.sliding_layers}" if self.sliding_layers else name

    @property
    def config(self) -> Qwen2AudioConfig:
        audio = {
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": self.num_mel_bins,
            "d_model": 32,
            "encoder_layers": NUM_LAYERS,
            "encoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
        }
        text = {
            "model_type": "qwen2",
            "vocab_size": VOCAB_SIZE,
            "hidden_size": 32,
            "head_dim": self.head_width,
            "intermediate_size": 48,
            "num_hidden_layers": NUM_LAYERS,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": 0.01,
            "rope_parameters": {"rope_type": "default", "rope_theta": 300.0},
            "max_position_embeddings": 2048,
            "tie_word_embeddings": self.tied,
            "use_sliding_window": self.window is not None,
            "sliding_window": self.window,
            "layer_types": [
                "sliding_attention" if layer in self.sliding_layers else "full_attention" for layer in range(NUM_LAYERS)
            ],
        }
        return Qwen2AudioConfig(audio_config=audio, text_config=text, audio_token_index=AUDIO_ID)


SHAPES = [Shape(4, 2), Shape(4, 4), Shape(4, 2, tied=True), Shape(4, 4, tied=True), Shape(6, 3, head_width=12)]
SLIDING_SHAPES = [  # windows shorter than most prompts, in every layer and in some
    Shape(4, 2, window=4, sliding_layers=(0, 1)),
    Shape(4, 4, window=6, sliding_layers=(1,)),
    Shape(4, 2, tied=True, window=9, sliding_layers=(0,)),
    Shape(6, 3, head_width=12, window=2, sliding_layers=(1,)),
]


def random_reference(shape: Shape, *, seed: int = 0) -> Qwen2AudioForConditionalGeneration:
    """A model of transformers with every weight, bias, norm and position drawn at random, widely enough to be moody."""
    model = Qwen2AudioForConditionalGeneration(shape.config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_norm = "norm" in name and name.endswith("weight")
        is_map = parameter.dim() > 1 and "embed" not in name
        parameter.copy_(1 + 0.3 * noise if is_norm else (0.4 if is_map else 0.3) * noise)
    if shape.tied:  # transformers has no way to tie this model's head, and cannot save shared tensors of it
        model.lm_head.weight.copy_(model.model.language_model.embed_tokens.weight)
    return model


def read_ours(directory: Path) -> Qwen2Audio:
    return read_model(directory, dtype=torch.float32, device=torch.device("cpu"))


def model_pair(
    shape: Shape, directory: Path, *, seed: int = 0
) -> tuple[Qwen2AudioForConditionalGeneration, Qwen2Audio]:
    """A random reference and what the shipping converter reads from its saved files."""
    reference = random_reference(shape, seed=seed)
    reference.save_pretrained(directory)
    return reference, read_ours(directory)


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference over the reference's largest value."""
    assert ours.shape == theirs.shape, f"{tuple(ours.shape)} is not {tuple(theirs.shape)}"
    return float((ours - theirs).abs().max() / theirs.abs().max())


def sound(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A gliding tone in noise."""
    time_s = np.arange(round(seconds * units.SAMPLE_RATE)) / units.SAMPLE_RATE
    tone = np.sin(2 * np.pi * (rng.uniform(100, 3000) + rng.uniform(-500, 2000) * time_s) * time_s)
    return (0.4 * tone + 0.1 * rng.standard_normal(len(time_s))).astype(np.float32)


Row = tuple[int | float, ...]
"""A prompt: an int is so many random text tokens, a float a recording of so many seconds."""


@dataclass(frozen=True)
class Batch:
    """The same prompts and recordings for both: our prepared rows and input, and the reference's arguments."""

    prepared: list[Prepared]
    inputs: ModelInput
    theirs: dict[str, torch.Tensor]


def make_batch(rows: list[Row], *, seed: int = 0) -> Batch:
    """Each side hears the recordings through its own front end."""
    rng = np.random.default_rng(seed)
    waveforms: list[np.ndarray] = []
    prepared = [_prepare(row, rng, waveforms) for row in rows]
    inputs = collate(prepared, pad_id=PAD_ID)
    theirs = {"input_ids": inputs.ids, "attention_mask": inputs.valid.long()}
    if waveforms:
        extract = WhisperFeatureExtractor(feature_size=80, return_attention_mask=True)
        heard = extract(waveforms, sampling_rate=units.SAMPLE_RATE, return_attention_mask=True, return_tensors="pt")
        theirs |= {"input_features": heard["input_features"], "feature_attention_mask": heard["attention_mask"]}
    return Batch(prepared, inputs, theirs)


def _prepare(row: Row, rng: np.random.Generator, waveforms: list[np.ndarray]) -> Prepared:
    ids: list[int] = []
    spans, mels = [], []
    for part in row:
        if isinstance(part, int):
            ids += rng.integers(1, AUDIO_ID, size=part).tolist()
            continue
        waveforms.append(sound(part, rng))
        mels.append(log_mel(Waveform(waveforms[-1]), num_mel_bins=80))
        start = len(ids)
        ids += [AUDIO_ID] * units.tokens_from_frames(mels[-1].num_frames)
        spans.append((start, len(ids)))
    return Prepared(Prompt(tuple(ids), (False,) * len(ids), tuple(spans)), tuple(mels))


def their_logits(reference: Qwen2AudioForConditionalGeneration, batch: Batch) -> torch.Tensor:
    """Logits of the real tokens, [tokens, vocabulary].

    Positions are given as the reference's own `generate` counts them. Its bare forward counts the padding too, which
    only a rounding of the rotary angles tells apart (2e-5 after 750 places).
    """
    mask = batch.theirs["attention_mask"]
    positions = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 1)
    with torch.inference_mode():
        return reference(**batch.theirs, position_ids=positions).logits[mask.bool()]


def our_logits(model: Qwen2Audio, inputs: ModelInput) -> torch.Tensor:
    with torch.inference_mode():
        return model(inputs)


def cached_logits(model: Qwen2Audio, inputs: ModelInput, cuts: list[int]) -> torch.Tensor:
    """The same tokens read piece by piece, from cut to cut."""
    with torch.inference_mode():
        embeddings, positions = model.embed(inputs), inputs.positions
        batch, num_tokens = inputs.ids.shape
        cache = KVCache.empty(model.config.text, batch=batch, capacity=num_tokens, like=embeddings)
        pieces = [slice(*ends) for ends in pairwise([0, *cuts, num_tokens])]
        hidden = [model.decode(embeddings[:, p], positions[:, p], inputs.valid[:, p], cache) for p in pieces]
        return model.logits(torch.cat(hidden, dim=1))
