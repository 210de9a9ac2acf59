"""Examples to what the model learns from: recordings loaded and augmented, prompts rendered, answers marked."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby

import numpy as np

from auricle import units
from auricle.audio import Mel, Waveform, cut_windows, log_mel
from auricle.conversation import RawPrompt
from auricle.data.augment import Augmenter
from auricle.data.durations import most_samples, most_tokens
from auricle.data.pack import Label
from auricle.data.records import Example, Group, Recording
from auricle.errors import UserError
from auricle.prepare import Prepared, Prompt, render, render_raw
from auricle.text import Tokenizer


class Hearing:
    """Hears groups, and measures them before. It can be pickled, so that a loader's workers hear.

    Args:
        tokenizer: the model's.
        num_mel_bins: the model's.
        end_id: ends the answer to a raw prompt; None for `<|im_end|>`.
        augmenter: None leaves recordings as they are.
        needs_keys: labels carry a hash of what is read, learnt and heard.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        num_mel_bins: int,
        end_id: int | None = None,
        augmenter: Augmenter | None = None,
        needs_keys: bool = False,
    ) -> None:
        self._tokenizer = tokenizer
        self._num_mel_bins = num_mel_bins
        self._end_id = end_id
        self._augmenter = augmenter
        self._needs_keys = needs_keys
        self._slowest = augmenter.slowest if augmenter is not None else 1.0

    def measure(self, group: Group) -> int:
        """At least the tokens of all its sequences, without decoding: real text, recordings as long as stated.

        Raises:
            UserError: an example has not one recording per place, or the length of one is not stated and cannot be
                found; the message names the example.
        """
        num_tokens = 0
        for example in group:
            with naming(example.where):
                most = [most_tokens(int(most_samples(part) / self._slowest) + 1) for part in example.recordings]
                num_tokens += len(self._render(example, most).ids)
        return num_tokens

    def hear(self, group: Group, rng: np.random.Generator) -> list[tuple[Prepared, Label]]:
        """Each example's prompt with its mels, and what it is.

        A recording that stands in several places of the group is loaded and augmented once, and its mels are the same
        objects everywhere.

        Raises:
            UserError: a recording cannot be heard or is longer than stated, an example has not one recording per
                place or no answer to learn; the message names the example.
        """
        heard: dict[Recording, list[Mel]] = {}
        sequences = []
        for example in group:
            with naming(example.where):
                for recording in example.recordings:
                    if recording not in heard:
                        heard[recording] = self._hear(recording, rng)
                prepared = self._prepare(example, [heard[recording] for recording in example.recordings])
            key = _key(prepared) if self._needs_keys else ""
            sequences.append((prepared, Label(example.where, example.source, example.task, key)))
        return sequences

    def _hear(self, recording: Recording, rng: np.random.Generator) -> list[Mel]:
        own_rng = np.random.default_rng(rng.integers(2**63))
        waveform = recording.load()
        most = most_samples(recording)
        if len(waveform.samples) > most:
            raise UserError(
                f"{recording.path} is longer than stated: got {waveform.duration_s:.2f} s, expected at most "
                f"{most / units.SAMPLE_RATE:.2f} s; correct its duration in the manifest"
            )
        if self._augmenter is None:
            return mels_of(waveform, num_mel_bins=self._num_mel_bins)
        changed, change = self._augmenter.change(waveform, own_rng)
        mels = mels_of(changed, num_mel_bins=self._num_mel_bins)
        return mels if change is None else self._augmenter.mask(mels, change, own_rng)[0]

    def _prepare(self, example: Example, heard: Sequence[Sequence[Mel]]) -> Prepared:
        tokens = [sum(units.tokens_from_frames(mel.num_frames) for mel in mels) for mels in heard]
        prompt = _supervise(self._render(example, tokens), example.supervised)
        return Prepared(prompt, tuple(mel for mels in heard for mel in mels))

    def _render(self, example: Example, audio_tokens: Sequence[int]) -> Prompt:
        if isinstance(example.prompt, RawPrompt):
            return render_raw(example.prompt, audio_tokens, self._tokenizer, answer=example.answer, end_id=self._end_id)
        if example.answer is not None:
            raise ValueError(f"{example.where}: a conversation holds its answers, but one was given beside it")
        return render(example.prompt, audio_tokens, self._tokenizer, open_turn=False)


def mels_of(waveform: Waveform, *, num_mel_bins: int) -> list[Mel]:
    """One mel for each window of at most 30 s, as the engines hear it."""
    return [log_mel(window, num_mel_bins=num_mel_bins) for window in cut_windows(waveform)]


def _supervise(prompt: Prompt, supervised: Sequence[bool] | None) -> Prompt:
    """Only the answers that count stay marked; each unbroken run of marked ids is one answer."""
    runs = [(counts, len(list(run))) for counts, run in groupby(prompt.loss)]
    num_answers = sum(counts for counts, _ in runs)
    if supervised is None:
        supervised = (True,) * num_answers
    if len(supervised) != num_answers:
        raise UserError(
            f"{len(supervised)} marks for {num_answers} answers: expected one for each, whether it counts in the loss"
        )
    if not any(supervised):
        raise UserError("nothing to learn: got no answer that counts in the loss, expected at least one")
    marks = iter(supervised)
    loss = [mark for counts, length in runs for mark in [counts and next(marks)] * length]
    return replace(prompt, loss=tuple(loss))


def _key(prepared: Prepared) -> str:
    """sha256 of the ids, of which of them count, and of the mels."""
    ids = np.array(prepared.prompt.ids, np.int64)
    digest = hashlib.sha256(len(ids).to_bytes(8, "little"))
    digest.update(ids.tobytes())
    digest.update(np.array(prepared.prompt.loss, np.bool_).tobytes())
    for mel in prepared.mels:
        digest.update(mel.num_frames.to_bytes(8, "little"))
        digest.update(mel.features.numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def naming(where: str) -> Iterator[None]:
    """A user's mistake inside is told with the example's place before it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
