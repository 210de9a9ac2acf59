"""Requests to prompts that have been read, with as little work as what was heard before leaves."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from auricle import units
from auricle.audio import Mel, Waveform, cut_windows, log_mel
from auricle.conversation import RawPrompt, Sampling
from auricle.engines.caches import Key, PrefixCache, RecordingCache
from auricle.engines.interface import Request
from auricle.generate import Prefilled, RunningBatch, read_on
from auricle.model import Qwen2Audio
from auricle.prepare import Prompt, render, render_raw
from auricle.weights import Checkpoint


@dataclass(frozen=True, slots=True)
class Recording:
    """digest: SHA-256 of the samples; mels: of the windows, none where their audio tokens were known."""

    digest: bytes
    windows: tuple[Waveform, ...]
    mels: tuple[Mel, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request before the model hears it; `key` is None where its beginning is not worth keeping."""

    prompt: Prompt
    recordings: tuple[Recording, ...]
    key: Key | None


class Listener:
    """`prepare` in any thread, all else in the model's."""

    def __init__(self, checkpoint: Checkpoint, recordings: RecordingCache, prefixes: PrefixCache) -> None:
        self._checkpoint = checkpoint
        self._recordings = recordings
        self._prefixes = prefixes
        model = checkpoint.model
        self._device = next(model.parameters()).device
        self._token_bytes = token_bytes(model)
        with torch.inference_mode():
            nothing = torch.zeros(0, dtype=torch.int64, device=self._device)
            self._silence_AD = model.language_model.model.embed_tokens(nothing)  # no token of it

    def prepare(self, request: Request, sampling: Sampling) -> Asked:
        """Text to ids, sound to mels; a recording whose audio tokens are known is only hashed.

        Raises:
            UserError: places and recordings do not agree, or the model's context cannot hold prompt and answer.
        """
        tokenizer, config = self._checkpoint.tokenizer, self._checkpoint.model.config
        windows = [tuple(cut_windows(audio)) for audio in request.audios]
        tokens = [sum(map(_count, of_one)) for of_one in windows]
        raw = isinstance(request.prompt, RawPrompt)
        if isinstance(request.prompt, RawPrompt):
            prompt = render_raw(request.prompt, tokens, tokenizer)
        else:
            prompt = render(request.prompt, tokens, tokenizer, open_turn=True)
        prompt.require_room(config.text.max_tokens, num_new=sampling.max_new_tokens)
        recordings = tuple(map(self._recording, request.audios, windows))
        return Asked(prompt, recordings, None if raw else _key(prompt, recordings))

    def read(self, asked: Asked, said: Sequence[int] = ()) -> tuple[Prefilled, int]:
        """Read a prompt, and what was said to it, from where the longest known beginning ends -> how many tokens that
        took, too.
        """
        ids, spans = (*asked.prompt.ids, *said), asked.prompt.audio_spans
        prefix = None if asked.key is None else self._prefixes.find((*asked.key, *said))
        start = 0 if prefix is None else prefix.num_tokens
        with torch.inference_mode():
            heard = [
                self._hear(recording)
                for recording, (first, _) in zip(asked.recordings, spans, strict=True)
                if first >= start
            ]
            audio_AD = torch.cat([self._silence_AD, *heard])
        return read_on(self._checkpoint.model, ids, audio_AD, prefix), len(ids) - start

    def remember(self, asked: Asked, said: list[int], batch: RunningBatch, row: int) -> None:
        """Keep what a row has read: the prompt, and all that was said but for the last token."""
        if asked.key is not None:
            key = (*asked.key, *said[:-1])
            self._prefixes.put(key, len(key) * self._token_bytes, lambda: batch.kept(row))

    def _recording(self, audio: Waveform, windows: tuple[Waveform, ...]) -> Recording:
        digest = hashlib.sha256(np.ascontiguousarray(audio.samples, dtype=np.float32).data).digest()
        return Recording(digest, windows, () if digest in self._recordings else self._mels(windows))

    def _hear(self, recording: Recording) -> torch.Tensor:
        """Audio tokens [A, D] of all windows."""
        audio_AD = self._recordings.get(recording.digest)
        if audio_AD is None:
            model = self._checkpoint.model
            mels = recording.mels or self._mels(recording.windows)  # they may have been forgotten meanwhile
            encoded = [
                model.encode(mel.features[None].to(self._device), torch.tensor([mel.num_frames])) for mel in mels
            ]
            audio_AD = torch.cat(encoded)
            self._recordings.put(recording.digest, audio_AD)
        return audio_AD

    def _mels(self, windows: tuple[Waveform, ...]) -> tuple[Mel, ...]:
        num_mel_bins = self._checkpoint.model.config.audio.num_mel_bins
        return tuple(log_mel(window, num_mel_bins=num_mel_bins) for window in windows)


def token_bytes(model: Qwen2Audio) -> int:
    """Of the keys and values of one token in every layer."""
    text, embed = model.config.text, model.language_model.model.embed_tokens
    return 2 * text.num_layers * text.num_kv_heads * text.head_width * embed.weight.element_size()


def _count(window: Waveform) -> int:
    return units.tokens_from_frames(units.frames_from_samples(len(window.samples)))


def _key(prompt: Prompt, recordings: tuple[Recording, ...]) -> Key:
    key: list[int | bytes] = list(prompt.ids)
    for recording, (start, end) in zip(recordings, prompt.audio_spans, strict=True):
        key[start:end] = [recording.digest] * (end - start)
    return tuple(key)
