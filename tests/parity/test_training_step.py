"""One step of supervised fine-tuning: the loss and every gradient of a batch of conversations, against transformers.

Ours reads a pack at true lengths; the reference a batch padded on the right or on the left, its windows padded to 30 s.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

from auricle import units
from auricle.audio import Waveform, log_mel
from auricle.conversation import Audio, Message
from auricle.data import Label, make_pack
from auricle.model import Qwen2Audio
from auricle.prepare import Prepared, render
from auricle.text import Tokenizer
from auricle.train.trainee import Trainee
from auricle.weights.names import to_nested

from .reference import TOLERANCE, Shape, model_pair, sound

pytestmark = pytest.mark.parity

CONTROL = 20 * TOLERANCE
LABEL = Label("here", "random", "sft")


@dataclass(frozen=True)
class SpeakingShape(Shape):
    """The reference's shape with the vocabulary of the tests' tokenizer."""

    vocab_size: int = 384
    audio_id: int = 0

    @property
    def config(self) -> Qwen2AudioConfig:
        config = super().config
        config.text_config.vocab_size, config.audio_token_id = self.vocab_size, self.audio_id
        return config


CONVERSATIONS = (
    (0.4, "What is said?", "The quick brown fox."),
    ("Who speaks?", "A lazy dog, again and again.", 0.9, "And here?", "You are a helpful assistant."),
    ("Say yes.", "yes"),
    (0.25, 1.3, "Compare these two.", "The quick brown fox jumps over the lazy dog.", "Again?", "No."),
)
"""Turns in order; a number is a recording of so many seconds in the user's turn that follows."""


def messages(conversation: tuple[float | str, ...]) -> list[Message]:
    said: list[Message] = []
    parts: list[Audio | str] = []
    for item in conversation:
        parts.append(item if isinstance(item, str) else Audio())
        if isinstance(item, str):
            said.append(Message("assistant" if len(said) % 2 else "user", tuple(parts)))
            parts = []
    return said


@dataclass(frozen=True)
class SftBatch:
    """The same conversations for both sides."""

    prepared: list[Prepared]
    waveforms: list[np.ndarray]

    def theirs(self, side: str) -> dict[str, torch.Tensor]:
        """ids, mask and labels padded on one side, features of 30 s."""
        longest = max(len(one.prompt.ids) for one in self.prepared)
        rows = []
        for one in self.prepared:
            ids, loss = torch.tensor(one.prompt.ids), torch.tensor(one.prompt.loss)
            missing = longest - len(ids)
            pad = (0, missing) if side == "right" else (missing, 0)
            padded = [(ids, 1), (torch.ones_like(ids), 0), (ids.where(loss, -100), -100)]
            rows.append([torch.nn.functional.pad(row, pad, value=value) for row, value in padded])
        extract = WhisperFeatureExtractor(feature_size=80, return_attention_mask=True)
        heard = extract(
            self.waveforms, sampling_rate=units.SAMPLE_RATE, return_attention_mask=True, return_tensors="pt"
        )
        names = ("input_ids", "attention_mask", "labels")
        return {name: torch.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)} | {
            "input_features": heard["input_features"],
            "feature_attention_mask": heard["attention_mask"],
        }


@pytest.fixture(scope="module")
def batch(tokenizer: Tokenizer) -> SftBatch:
    rng = np.random.default_rng(0)
    prepared, waveforms = [], []
    for conversation in CONVERSATIONS:
        samples = [sound(seconds, rng) for seconds in conversation if isinstance(seconds, float)]
        mels = tuple(log_mel(Waveform(one), num_mel_bins=80) for one in samples)
        tokens = [units.tokens_from_frames(mel.num_frames) for mel in mels]
        prepared.append(Prepared(render(messages(conversation), tokens, tokenizer, open_turn=False), mels))
        waveforms += samples
    return SftBatch(prepared, waveforms)


Outcome = tuple[float, dict[str, torch.Tensor]]


def their_step(reference: Qwen2AudioForConditionalGeneration, arguments: dict[str, torch.Tensor]) -> Outcome:
    """The loss, and the gradients by their names."""
    reference.zero_grad()
    loss = reference(**arguments).loss
    loss.backward()
    return loss.item(), {name: parameter.grad for name, parameter in reference.named_parameters()}


def our_step(model: Qwen2Audio, prepared: list[Prepared]) -> Outcome:
    """The same of one pack."""
    model.zero_grad()
    loss = Trainee(model)(make_pack([(one, LABEL) for one in prepared])).mean()
    loss.backward()
    return loss.item(), {to_nested(name): parameter.grad for name, parameter in model.named_parameters()}


def differences(ours: Outcome, theirs: Outcome, *, tied: bool) -> dict[str, float]:
    """Of the loss and of each gradient, relative to the reference's largest value.

    The reference cannot tie its head: its two gradients are those of our one table.
    """
    expected = dict(theirs[1])
    if tied:
        table = "model.language_model.embed_tokens.weight"
        expected[table] = expected[table] + expected.pop("lm_head.weight")
    assert set(ours[1]) == set(expected)
    return {"loss": abs(ours[0] - theirs[0]) / theirs[0]} | {
        name: float((ours[1][name] - grad).abs().max() / grad.abs().max()) for name, grad in expected.items()
    }


@pytest.fixture(scope="module", params=[{}, {"kv_heads": 4, "tied": True}], ids=str)
def pair(
    request: pytest.FixtureRequest, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Qwen2AudioForConditionalGeneration, Qwen2Audio, bool]:
    shape = SpeakingShape(**request.param, audio_id=tokenizer.special("<|AUDIO|>"))
    reference, model = model_pair(shape, tmp_path_factory.mktemp("step"))
    return reference.requires_grad_(True), model.requires_grad_(True), shape.tied


@pytest.mark.parametrize("side", ["right", "left"])
def test_loss_and_gradients_equal_the_references(
    pair: tuple[Qwen2AudioForConditionalGeneration, Qwen2Audio, bool], batch: SftBatch, side: str
) -> None:
    reference, model, tied = pair
    theirs = their_step(reference, batch.theirs(side))
    found = differences(our_step(model, batch.prepared), theirs, tied=tied)
    assert max(found.values()) <= TOLERANCE, found


def test_other_labels_are_another_step(
    pair: tuple[Qwen2AudioForConditionalGeneration, Qwen2Audio, bool], batch: SftBatch
) -> None:
    """Negative controls: one label more, which is the id after the end of a turn; one conversation less."""
    reference, model, tied = pair
    arguments = batch.theirs("right")
    row, last = arguments["labels"][0], int((arguments["labels"][0] != -100).nonzero()[-1])
    row[last + 1] = arguments["input_ids"][0, last + 1]
    more = differences(our_step(model, batch.prepared), their_step(reference, arguments), tied=tied)
    theirs = their_step(reference, batch.theirs("right"))
    fewer = differences(our_step(model, batch.prepared[:-1]), theirs, tied=tied)
    for found in (more, fewer):
        del found["loss"]  # a mean, which may come out close by chance
        assert min(found.values()) > CONTROL, found
