"""Floating point operations of real work: no padding, nothing computed twice.

A product of [m, k] and [k, n] counts 2 m k n. Norms, activations, softmax and rotary positions are left out, as
everywhere (Appendix B of the PaLM paper, arXiv:2204.02311, names the rest model FLOPs).
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from auricle import units
from auricle.data import Pack
from auricle.extend import is_adapter
from auricle.model import Qwen2Audio, Qwen2AudioConfig
from auricle.model.config import AudioEncoderConfig, DecoderConfig


@dataclass(frozen=True, slots=True)
class Moving:
    """Which weights a step changes; whatever lies above the lowest of them passes gradients down.

    encoder_layers: how many of the encoder's layers, from the top. decoder: its layers' matrices. adapters, and
    encoder_adapters: small matrices beside frozen ones, whose own operations are not counted (0.4 % of the decoder's
    at rank 16 and width 4096).
    """

    projector: bool = False
    decoder: bool = False
    embeddings: bool = False
    head: bool = False
    encoder_layers: int = 0
    convolutions: bool = False
    adapters: bool = False
    encoder_adapters: bool = False

    @classmethod
    def of(cls, model: Qwen2Audio) -> "Moving":
        """What `requires_grad` says."""
        encoder, text = model.audio_tower, model.language_model
        layers = [_matrix_moves(layer) for layer in encoder.layers]
        return cls(
            projector=_matrix_moves(model.multi_modal_projector),
            decoder=_matrix_moves(text.model.layers),
            embeddings=text.model.embed_tokens.weight.requires_grad,
            head=text.lm_head.weight.requires_grad,
            encoder_layers=len(layers) - layers.index(True) if True in layers else 0,
            convolutions=_matrix_moves(encoder.conv1) or _matrix_moves(encoder.conv2),
            adapters=_adapter_moves(text.model.layers),
            encoder_adapters=_adapter_moves(encoder),
        )

    @property
    def in_sound(self) -> bool:
        """Something in the encoder moves."""
        return self.encoder_layers > 0 or self.convolutions or self.encoder_adapters


@dataclass(frozen=True, slots=True)
class _Work:
    """Operations of one product in the forward. weight_moves: the backward makes the weight's gradient, at the same
    cost. passes: it makes the input's too. Attention has no weight and two gradients where it passes."""

    flops: float
    weight_moves: bool
    passes: bool

    @property
    def total(self) -> float:
        return self.flops * (1 + self.weight_moves + self.passes)


def pack_flops(config: Qwen2AudioConfig, pack: Pack, moving: Moving) -> float:
    """Operations of one forward and backward over a pack, at the true lengths.

    Convolutions on the frames that are kept, attention among a window's states and from each token to itself and
    those before it (T (T + 1) / 2 pairs of a sequence of T), the head on supervised positions alone.

    Worked example: the published encoder's forward over 30 s is 2.27e12.
    """
    fed = moving.embeddings or (bool(pack.inputs.features) and (moving.projector or moving.in_sound))
    work = [*_encoder(config, pack, moving), *_decoder(config.text, pack, moving, fed)]
    return sum(item.total for item in work)


def encoder_flops(config: AudioEncoderConfig, num_frames: int) -> float:
    """Operations of the encoder's forward over one window of so many mel frames (100 /s), without the projector."""
    return sum(item.flops for item in _window(config, num_frames, Moving()))


def _encoder(config: Qwen2AudioConfig, pack: Pack, moving: Moving) -> Iterator[_Work]:
    for num_frames in pack.inputs.num_frames:
        yield from _window(config.audio, num_frames, moving)
        num_tokens = units.tokens_from_frames(num_frames)
        yield _Work(2 * num_tokens * config.audio.width * config.text.width, moving.projector, moving.in_sound)


def _window(config: AudioEncoderConfig, num_frames: int, moving: Moving) -> Iterator[_Work]:
    states, width = units.states_from_frames(num_frames), config.width
    kept = units.kept_frames(num_frames)
    yield _Work(2 * kept * 3 * config.num_mel_bins * width, moving.convolutions, False)
    yield _Work(2 * states * 3 * width * width, moving.convolutions, moving.convolutions)
    first_moving = config.num_layers - moving.encoder_layers
    for layer in range(config.num_layers):
        moves = layer >= first_moving
        below = moves or moving.convolutions or (moving.encoder_adapters and layer > 0)  # a norm moves with its layer
        here = below or moving.encoder_adapters
        yield _Work(2 * states * 3 * width * width, moves, below)  # q, k, v
        yield _attention(4 * states * states * width, here)
        yield _Work(2 * states * width * width, moves, here)
        yield _Work(2 * states * 2 * width * config.mlp_width, moves, here)


def _decoder(config: DecoderConfig, pack: Pack, moving: Moving, fed: bool) -> Iterator[_Work]:
    """fed: gradients are wanted below the first layer."""
    num_tokens = len(pack.inputs.ids)
    queries, keys = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    moves, here = moving.decoder, fed or moving.decoder or moving.adapters
    for layer, window in enumerate(config.windows):
        below = fed or moves or (moving.adapters and layer > 0)
        pairs = sum(_pairs(length, window) for length in pack.inputs.lengths)
        yield _Work(2 * num_tokens * config.width * (queries + 2 * keys), moves, below)
        yield _attention(4 * pairs * queries, here)
        yield _Work(2 * num_tokens * queries * config.width, moves, here)
        yield _Work(2 * num_tokens * 3 * config.width * config.mlp_width, moves, here)
    yield _Work(2 * len(pack.targets) * config.width * config.vocab_size, moving.head, here)


def _attention(flops: float, passes: bool) -> _Work:
    """Two products forward; backward four: of the weights, the values, the queries and the keys."""
    return _Work(flops, passes, passes)


def _pairs(num_tokens: int, window: int | None) -> int:
    """Each token sees itself and those before it, of a sliding window at most the last so many places."""
    near = num_tokens if window is None else min(window, num_tokens)
    return near * (near + 1) // 2 + (num_tokens - near) * near


def _matrix_moves(module: torch.nn.Module) -> bool:
    moving = [name for name, weight in module.named_parameters() if weight.requires_grad and weight.ndim > 1]
    return any(not is_adapter(f".{name}") for name in moving)


def _adapter_moves(module: torch.nn.Module) -> bool:
    return any(weight.requires_grad and is_adapter(f".{name}") for name, weight in module.named_parameters())


# Dense bfloat16 with float32 sums, FLOP/s (NVIDIA's data sheets, without sparsity), and float32 without TF32.
# The first name that stands in the device's name counts; laptop and cut-down editions of a card are others.
_GPUS = (
    ("GB200", 2500e12, 80e12),
    ("B200", 2250e12, 75e12),
    ("GH200", 989e12, 67e12),
    ("H200 NVL", 835e12, 60e12),
    ("H200", 989e12, 67e12),
    ("H100 NVL", 835e12, 60e12),
    ("H100 PCIe", 756e12, 51e12),
    ("H100", 989e12, 67e12),
    ("H800", 989e12, 67e12),
    ("H20", 148e12, 44e12),
    ("A100", 312e12, 19.5e12),
    ("A800", 312e12, 19.5e12),
    ("A10G", 70e12, 31.5e12),
    ("A10", 125e12, 31.2e12),
    ("A30", 165e12, 10.3e12),
    ("A40", 150e12, 37.4e12),
    ("RTX A6000", 155e12, 38.7e12),
    ("RTX 6000 Ada", 364e12, 91.1e12),
    ("L40S", 362e12, 91.6e12),
    ("L40", 181e12, 90.5e12),
    ("L4", 121e12, 30.3e12),
    ("RTX 5090", 209e12, 104.8e12),
    ("RTX 4090", 165e12, 82.6e12),
    ("RTX 3090", 71e12, 35.6e12),
)


def peak_flops(device: torch.device, dtype: torch.dtype) -> float | None:
    """What the device could do at most, FLOP/s; None where nobody knows.

    CUDA: from the data sheets; float32 with TF32 allowed counts as half of bfloat16. CPU: a product of two square
    matrices, the best of several; takes about a second.
    """
    if device.type == "cpu":
        return _measured(dtype)
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16, torch.float32):
        return None
    return listed_flops(
        torch.cuda.get_device_name(device), dtype, tf32=torch.get_float32_matmul_precision() != "highest"
    )


def listed_flops(name: str, dtype: torch.dtype, *, tf32: bool) -> float | None:
    """The data sheet's figure for a GPU of this name (as the driver says it), or None."""
    for known, half_flops, float_flops in _GPUS:
        if re.search(rf"\b{known}\b(?! (D|Ti|SUPER|Laptop)\b)", name):
            return half_flops if dtype != torch.float32 else half_flops / 2 if tf32 else float_flops
    return None


def _measured(dtype: torch.dtype, size: int = 1024, rounds: int = 5) -> float:
    left = torch.full((size, size), 0.5, dtype=dtype)
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        left @ left
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
