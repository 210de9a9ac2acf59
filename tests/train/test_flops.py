"""Operations of real work, beside PyTorch's own counter on a model that runs."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from auricle import units
from auricle.audio import Mel
from auricle.data import Label, Pack, make_pack
from auricle.model import AudioEncoderConfig, Qwen2Audio
from auricle.model.splice import splice
from auricle.prepare import Prepared
from auricle.prepare.prompt import Prompt
from auricle.train.flops import Moving, encoder_flops, listed_flops, pack_flops, peak_flops

# The published model's encoder (facts/published-model.md; config.json of Qwen/Qwen2-Audio-7B-Instruct).
PUBLISHED_ENCODER = AudioEncoderConfig(num_mel_bins=128, width=1280, num_layers=32, num_heads=20, mlp_width=5120)
ATTENTION = {"aten.bmm"}


def make(model: Qwen2Audio, sequences: list[tuple[int, int, int]]) -> Pack:
    """Sequences of (mel frames, words, supervised words), 0 frames for text alone."""
    made, audio_id = [], model.config.audio_token_id
    generator = torch.Generator().manual_seed(0)
    for number, (num_frames, num_words, num_supervised) in enumerate(sequences):
        num_audio = units.tokens_from_frames(num_frames) if num_frames else 0
        words = torch.randint(0, 300, (num_words,), generator=generator).tolist()
        ids = [words[0], *[audio_id] * num_audio, *words[1:]]
        loss = [place >= len(ids) - num_supervised for place in range(len(ids))]
        spans = ((1, 1 + num_audio),) if num_audio else ()
        features = torch.randn(model.config.audio.num_mel_bins, units.kept_frames(num_frames), generator=generator)
        mels = (Mel(features, num_frames),) if num_audio else ()
        made.append((Prepared(Prompt(tuple(ids), tuple(loss), spans), mels), Label(str(number), "made", "asr")))
    return make_pack(made)


def plain_loss(model: Qwen2Audio, pack: Pack) -> torch.Tensor:
    """The sum of the pack's losses, one window and one sequence at a time, nothing computed twice."""
    inputs = pack.inputs
    both = (inputs.features, inputs.num_frames)
    windows = [model.encode(sound[None], torch.tensor([num])) for sound, num in zip(*both, strict=True)]
    embeddings_TD = model.language_model.model.embed_tokens(inputs.ids)
    if windows:
        is_audio = inputs.ids == model.config.audio_token_id
        embeddings_TD = splice(embeddings_TD[None], is_audio[None], torch.cat([windows[i] for i in inputs.heard]))[0]
    rows = []
    for part_TD in embeddings_TD.split(list(inputs.lengths)):
        valid = torch.ones(1, len(part_TD), dtype=torch.bool)
        rows.append(model.decode(part_TD[None], torch.arange(len(part_TD))[None], valid, None)[0])
    logits = model.logits(torch.cat(rows)[pack.places])
    return torch.nn.functional.cross_entropy(logits, pack.targets, reduction="sum")


def counted(model: Qwen2Audio, pack: Pack) -> tuple[float, float]:
    """What PyTorch counts in a forward and backward: products of weights and activations, and attention's."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        loss = plain_loss(model, pack)
        if loss.requires_grad:
            loss.backward()
    ops = {str(op): flops for op, flops in counter.get_flop_counts()["Global"].items()}
    attention = sum(flops for op, flops in ops.items() if op in ATTENTION)
    return sum(ops.values()) - attention, attention


def all_of(model: Qwen2Audio) -> None:
    model.requires_grad_(True)


def projector_alone(model: Qwen2Audio) -> None:
    model.multi_modal_projector.requires_grad_(True)


def decoder_alone(model: Qwen2Audio) -> None:
    model.language_model.requires_grad_(True)


def top_encoder_layer(model: Qwen2Audio) -> None:
    model.audio_tower.layers[-1].requires_grad_(True)


def head_alone(model: Qwen2Audio) -> None:
    model.language_model.lm_head.requires_grad_(True)


def decoder_layers(model: Qwen2Audio) -> None:
    model.language_model.model.layers.requires_grad_(True)


def nothing(model: Qwen2Audio) -> None:
    pass


EVERY = [all_of, projector_alone, decoder_alone, top_encoder_layer, head_alone, decoder_layers, nothing]


def without_attention(model: Qwen2Audio, pack: Pack) -> float:
    """pack_flops less its attention: attention's part is what is left when all widths stay and no pair is seen."""
    moving = Moving.of(model)
    return pack_flops(model.config, pack, moving) - attention_of(model, pack, moving)


def attention_of(model: Qwen2Audio, pack: Pack, moving: Moving) -> float:
    """An oracle of attention alone, pair by pair."""
    audio, text = model.config.audio, model.config.text
    total = 0.0
    fed = ((moving.projector or moving.in_sound) and bool(pack.inputs.features)) or moving.embeddings
    for num_frames in pack.inputs.num_frames:
        states = units.states_from_frames(num_frames)
        for layer in range(audio.num_layers):
            moves = moving.convolutions or layer >= audio.num_layers - moving.encoder_layers
            pairs = sum(1 for _ in range(states) for _ in range(states))
            total += (3 if moves else 1) * 4 * pairs * audio.width
    for length in pack.inputs.lengths:
        for window in text.windows:
            pairs = sum(1 for q in range(length) for k in range(q + 1) if window is None or k > q - window)
            total += (3 if fed or moving.decoder else 1) * 4 * pairs * text.num_heads * text.head_width
    return total


@pytest.mark.parametrize("move", EVERY, ids=lambda move: move.__name__)
@pytest.mark.parametrize(
    "sequences", [[(100, 6, 3)], [(301, 9, 4), (0, 12, 5), (64, 5, 2)], [(0, 20, 7)]], ids=["one", "several", "text"]
)
def test_agrees_with_pytorchs_counter(
    tiny_model: Callable[..., Qwen2Audio], move: Callable[[Qwen2Audio], None], sequences: list[tuple[int, int, int]]
) -> None:
    model = tiny_model()
    move(model)
    pack = make(model, sequences)
    dense, _ = counted(model, pack)
    assert without_attention(model, pack) == pytest.approx(dense, rel=0.01)


def test_attention_of_the_encoder_agrees_with_pytorchs_counter(tiny_model: Callable[..., Qwen2Audio]) -> None:
    model = tiny_model()
    frames = 401
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model.audio_tower(torch.randn(1, 16, units.kept_frames(frames)), [frames])
    assert encoder_flops(model.config.audio, frames) == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_attention_counts_only_what_a_token_sees(tiny_model: Callable[..., Qwen2Audio]) -> None:
    """PyTorch's counter sees the whole square of a masked product; ours counts T (T + 1) / 2 of it."""
    model = tiny_model()
    pack = make(model, [(0, 40, 5)])
    _, attention = counted(model, pack)
    assert attention_of(model, pack, Moving()) == pytest.approx(attention * 41 / 80, rel=1e-6)


@pytest.mark.parametrize("window", [1, 7, 40, 100])
def test_a_sliding_window_is_counted_pair_by_pair(tiny_model: Callable[..., Qwen2Audio], window: int) -> None:
    wide = tiny_model()
    narrow = tiny_model(sliding_window=window, sliding_layers=(1,))
    pack = make(wide, [(0, 40, 5), (0, 3, 1)])
    moving = Moving(decoder=True)
    full, less = pack_flops(wide.config, pack, moving), pack_flops(narrow.config, pack, moving)
    oracle = attention_of(wide, pack, moving) - attention_of(narrow, pack, moving)
    assert full - less == pytest.approx(oracle)
    assert (full > less) == (window < 40)


def test_adapters_pass_gradients_through_frozen_weights(tiny_model: Callable[..., Qwen2Audio]) -> None:
    """As a decoder that moves, less the gradients of its weights; the adapters' own products are not counted."""
    peft = pytest.importorskip("peft")
    from auricle.extend import LoraSettings, add_lora

    assert peft
    model = tiny_model()
    add_lora(model, LoraSettings(rank=1))
    model.requires_grad_(False)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name)
    moving = Moving.of(model)
    assert (moving.adapters, moving.decoder, moving.projector) == (True, False, False)
    pack = make(model, [(200, 9, 4)])
    frozen, moved = (pack_flops(model.config, pack, each) for each in (Moving(), replace(moving, decoder=True)))
    assert frozen < pack_flops(model.config, pack, moving) < moved


def test_packing_changes_nothing_and_a_shared_recording_counts_once(tiny_model: Callable[..., Qwen2Audio]) -> None:
    model = tiny_model()
    moving = Moving(projector=True, decoder=True)
    one, two = make(model, [(100, 6, 3)]), make(model, [(200, 9, 5)])
    both = make(model, [(100, 6, 3), (200, 9, 5)])
    alone = pack_flops(model.config, one, moving) + pack_flops(model.config, two, moving)
    assert pack_flops(model.config, both, moving) == pytest.approx(alone)
    shared = replace(both, inputs=replace(both.inputs, num_frames=(100,), features=both.inputs.features[:1]))
    assert pack_flops(model.config, shared, moving) < alone


def test_the_published_encoder_takes_2_26_teraflop_for_30_s() -> None:
    """facts/training-peers.md: 2.26 TFLOP at 30 s, without the convolutions; 0.39 at 6 s."""
    assert encoder_flops(PUBLISHED_ENCODER, 3000) == pytest.approx(2.26e12, rel=0.01)
    assert encoder_flops(PUBLISHED_ENCODER, 600) == pytest.approx(0.39e12, rel=0.02)


@pytest.mark.parametrize(
    ("name", "bf16"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA RTX A4000", None),  # no A40
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA H20", 148e12),
        ("Some Other Device", None),
    ],
)
def test_gpus_are_known_by_the_name_the_driver_gives(name: str, bf16: float | None) -> None:
    assert listed_flops(name, torch.bfloat16, tf32=False) == bf16


def test_float32_is_slower_and_tf32_half_of_bfloat16() -> None:
    name = "NVIDIA A100-SXM4-40GB"
    assert listed_flops(name, torch.float32, tf32=False) == 19.5e12
    assert listed_flops(name, torch.float32, tf32=True) == 156e12
    assert listed_flops(name, torch.bfloat16, tf32=True) == 312e12


def test_a_cpus_peak_is_measured() -> None:
    peak = peak_flops(torch.device("cpu"), torch.float32)
    assert peak is not None
    assert 1e8 < peak < 1e14


def test_another_device_has_no_known_peak() -> None:
    assert peak_flops(torch.device("meta"), torch.float32) is None
