"""Requests to prompts in id space and windows of sound, for engines whose model is not ours."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from auricle import units
from auricle.audio import Waveform, cut_windows
from auricle.conversation import RawPrompt, Sampling
from auricle.engines.interface import Request
from auricle.errors import UserError
from auricle.prepare import Prompt, render, render_raw
from auricle.text import Tokenizer
from auricle.weights import read_config, read_generation


@dataclass(frozen=True, slots=True)
class Read:
    """One request: its prompt, and for each recording, in order, its windows of at most 30 s."""

    prompt: Prompt
    windows: tuple[tuple[Waveform, ...], ...]


class Reader:
    """All that a checkpoint directory says about prompts and answers, without its weights."""

    def __init__(self, directory: Path) -> None:
        self.tokenizer = Tokenizer.from_file(directory / "tokenizer.json")
        self.config = read_config(directory)
        generation = read_generation(directory)
        self.stop_ids = generation.stop_ids | {self.tokenizer.special("<|im_end|>")}
        self.defaults = generation.sampling

    def read_next(
        self, requests: Iterator[Request], num: int, sampling: Sampling
    ) -> tuple[list[Read], UserError | None]:
        """At most `num` further requests, and the error of the one after them, if that is why they end."""
        batch: list[Read] = []
        try:
            for request in islice(requests, num):
                batch.append(self.read(request, sampling))
        except UserError as error:
            return batch, error
        return batch, None

    def read(self, request: Request, sampling: Sampling) -> Read:
        """The prompt that the native engine would read.

        Raises:
            UserError: places and recordings do not agree, or the model's context cannot hold prompt and answer.
        """
        windows = tuple(tuple(cut_windows(audio)) for audio in request.audios)
        tokens = [sum(_count(window) for window in of_one) for of_one in windows]
        if isinstance(request.prompt, RawPrompt):
            prompt = render_raw(request.prompt, tokens, self.tokenizer)
        else:
            prompt = render(request.prompt, tokens, self.tokenizer, open_turn=True)
        prompt.require_room(self.config.text.max_tokens, num_new=sampling.max_new_tokens)
        return Read(prompt, windows)


def draw_seed(seed: int | None, index: int) -> int:
    """What one request's draws start from, below 2**63: its place among all requests and the seed make it."""
    entropy = secrets.randbits(64) if seed is None else seed % 2**64
    return int(np.random.SeedSequence((entropy, index)).generate_state(1, np.uint64)[0] >> 1)


def _count(window: Waveform) -> int:
    return units.tokens_from_frames(units.frames_from_samples(len(window.samples)))
