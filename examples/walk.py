"""The corridor on foot: from a file to text through every public door, nothing hidden."""

import sys

import torch

from auricle import units
from auricle.audio import load, log_mel
from auricle.conversation import Audio, RawPrompt, Sampling
from auricle.generate import generate
from auricle.prepare import Prepared, collate, render_raw
from auricle.weights import locate, read_checkpoint

path = sys.argv[1] if len(sys.argv) > 1 else "examples/recordings/librivox.flac"
checkpoint = read_checkpoint(locate("mini"), dtype=torch.float32, device=torch.device("cpu"))
model, tokenizer = checkpoint.model, checkpoint.tokenizer
waveform = load(path)  # 16 000 samples a second
mel = log_mel(waveform, num_mel_bins=model.config.audio.num_mel_bins)  # 100 frames a second
num_tokens = units.tokens_from_frames(mel.num_frames)  # 25 audio tokens a second
asked = RawPrompt((Audio(), "Detect the language and recognize the speech: <|en|>"))
prompt = render_raw(asked, [num_tokens], tokenizer)
inputs = collate([Prepared(prompt, (mel,))], pad_id=checkpoint.pad_id)
(answer,) = generate(model, inputs, Sampling(max_new_tokens=128), stop_ids=checkpoint.stop_ids)

print(f"{waveform.duration_s:.2f} s, {mel.num_frames} frames, {num_tokens} audio tokens, {len(prompt.ids)} in all")
print(tokenizer.decode(answer.ids))
