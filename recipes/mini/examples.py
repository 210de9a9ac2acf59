"""Clips of the manifests as training examples: which task, which words, which recordings together."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from augment import augment
from auricle import units
from auricle.audio import Waveform, load, log_mel
from auricle.conversation import Audio, Message, RawPrompt
from auricle.prepare import Prepared, Prompt, render, render_raw
from auricle.text import Tokenizer
from clips import Clip

RECOGNISE = "Detect the language and recognize the speech:"  # the published prompt; the tag may follow
TRANSCRIBE = (
    "Transcribe the speech.",
    "What does the speaker say?",
    "Write down what is said in this recording.",
    "What is said in the recording?",
    "Please transcribe this audio.",
    "Repeat the speaker's words.",
    "Transcribe this.",
    "What did the person say?",
)
NAME_LANGUAGE = (
    "What language is spoken in this recording?",
    "Which language does the speaker use?",
    "Name the language of the speech.",
    "What language is this?",
    "In which language is this said?",
)
LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "ru": "Russian"}
JOINED_S = (14.0, 25.5)  # the longest joined recordings: of most, and of every seventh
NUM_MEL_BINS = 80
T = TypeVar("T")


class Examples:
    """Makes one training example of a clip; what is drawn depends only on the seed and the clip's number."""

    def __init__(
        self, root: Path, clips: list[Clip], tokenizer: Tokenizer, noises: list[np.ndarray], *, seed: int
    ) -> None:
        self.clips = clips
        self._root = root
        self._tokenizer = tokenizer
        self._noises = noises
        self._seed = seed
        self._by_speaker: dict[str, list[Clip]] = {}
        for clip in clips:
            self._by_speaker.setdefault(clip.speaker, []).append(clip)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> Prepared:
        """The clip of that number, augmented, under a drawn task; numbers beyond the end are later passes."""
        rng = np.random.default_rng((self._seed, number))
        clip = self.clips[number % len(self.clips)]
        samples, text = load(self._root / clip.audio).samples, clip.text
        if clip.language == "en" and rng.random() < 0.25:
            samples, text = self._join(clip, samples, rng)
        samples = augment(_pad(samples, rng), self._noises, rng)
        mel = log_mel(Waveform(samples), num_mel_bins=NUM_MEL_BINS)
        tokens = [units.tokens_from_frames(mel.num_frames)]
        names_language = clip.language != "en" or rng.random() < 0.03
        if names_language:
            return Prepared(
                _ask(_pick(NAME_LANGUAGE, rng), f"{LANGUAGES[clip.language]}.", tokens, self._tokenizer), (mel,)
            )
        draw = rng.random()
        if draw < 0.65:
            prompt = render_raw(RawPrompt((Audio(), f"{RECOGNISE} <|en|>")), tokens, self._tokenizer, answer=text)
        elif draw < 0.75:
            prompt = render_raw(RawPrompt((Audio(), RECOGNISE)), tokens, self._tokenizer, answer=f" <|en|>{text}")
        else:
            prompt = _ask(_pick(TRANSCRIBE, rng), text, tokens, self._tokenizer)
        return Prepared(prompt, (mel,))

    def _join(self, clip: Clip, samples: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """Append more recordings of the same speaker: human speech of a length the sources lack."""
        text = clip.text
        is_long = rng.random() < 1 / 7
        for _ in range(12 if is_long else int(rng.integers(1, 4))):
            other = _pick(self._by_speaker[clip.speaker], rng)
            if len(samples) / units.SAMPLE_RATE + other.duration_s > JOINED_S[is_long]:
                break
            pause = np.zeros(int(rng.uniform(0.05, 0.4) * units.SAMPLE_RATE), np.float32)
            samples = np.concatenate((samples, pause, load(self._root / other.audio).samples))
            text = f"{text} {other.text}"
        return samples, text


def plain_example(root: Path, clip: Clip, tokenizer: Tokenizer, *, heard: Clip | None = None) -> Prepared:
    """The clip as it is under the published prompt; `heard` replaces its sound by another clip's."""
    mel = log_mel(load(root / (heard or clip).audio), num_mel_bins=NUM_MEL_BINS)
    tokens = [units.tokens_from_frames(mel.num_frames)]
    return Prepared(
        render_raw(RawPrompt((Audio(), f"{RECOGNISE} <|en|>")), tokens, tokenizer, answer=clip.text), (mel,)
    )


def text_example(question: str, answer: str, tokenizer: Tokenizer) -> Prepared:
    """A text turn that the text model answered itself."""
    return Prepared(_chat((question,), answer, [], tokenizer))


def _ask(question: str, answer: str, tokens: list[int], tokenizer: Tokenizer) -> Prompt:
    return _chat((Audio(), question), answer, tokens, tokenizer)


def _chat(content: tuple[Audio | str, ...], answer: str, tokens: list[int], tokenizer: Tokenizer) -> Prompt:
    messages = [Message("user", content), Message("assistant", (answer,))]
    return render(messages, tokens, tokenizer, open_turn=False)


def _pad(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Up to 0.4 s of silence before and after."""
    before, after = (rng.uniform(0, 0.4, size=2) * units.SAMPLE_RATE).astype(int)
    return np.pad(samples, (before, after))


def _pick(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]
