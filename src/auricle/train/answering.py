"""What a model in training says to held-out recordings, and how right it is."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from auricle.conversation import Message, RawPrompt, Sampling, count_audios
from auricle.data import Example
from auricle.data.formats import DIMENSIONS
from auricle.data.modes import Kind
from auricle.engines.interface import Request
from auricle.engines.native import NativeEngine
from auricle.errors import UserError
from auricle.metrics import WER, edit_counts
from auricle.model import Qwen2Audio
from auricle.weights import Checkpoint

TRANSCRIBED = frozenset({"asr"})
CONVERSED = frozenset({*get_args(Kind), *DIMENSIONS, "preference"})
LABELLED = frozenset({"emotion", "voice_activity", "speaker_identity", "language_identification", "vocal_sound"})
"""Tasks that are scored by words: of `data.tasks`, and conversations of stage 2 and 3; and those right or wrong."""

_MOST_TOKENS = 256


@dataclass(frozen=True, slots=True)
class HeldoutAnswer:
    """What was heard and asked, what should be said and what was said."""

    recording: str
    prompt: str
    reference: str
    hypothesis: str
    task: str


@dataclass(frozen=True, slots=True)
class Question:
    """An example without its last answer, ready for an engine."""

    example: Example
    request: Request
    reference: str


def ask_of(example: Example) -> Question:
    """The example up to its last answer, with the recordings that are heard before it.

    Raises:
        UserError: a recording cannot be read, or nothing is answered.
    """
    prompt, reference = example.prompt, example.answer or ""
    num_heard = len(example.recordings)
    if not isinstance(prompt, RawPrompt):
        answers = [place for place, message in enumerate(prompt) if message.role == "assistant"]
        if not answers:
            raise UserError(
                f"{example.where} has no answer of the assistant to compare with; give one, or leave it out"
            )
        last = answers[-1]
        reference, prompt = _text(prompt[last]), prompt[:last]
        num_heard = count_audios(prompt)
    audios = tuple(recording.load() for recording in example.recordings[:num_heard])
    return Question(example, Request(prompt, audios), reference)


def answer(questions: Sequence[Question], checkpoint: Checkpoint, model: Qwen2Audio) -> list[HeldoutAnswer]:
    """Greedy answers, at most twice as long as the longest reference.

    Args:
        questions: from `ask_of`.
        checkpoint: tokenizer and ends of answers.
        model: in evaluation mode, on one device, whole.

    Raises:
        UserError: a question leaves no room for an answer.
    """
    if not questions:
        return []
    longest = max(len(checkpoint.tokenizer.encode(question.reference)) for question in questions)
    engine = NativeEngine(replace(checkpoint, model=model))
    sampling = Sampling(max_new_tokens=min(2 * longest + 16, _MOST_TOKENS))
    answers = engine.generate([question.request for question in questions], sampling)
    return [
        HeldoutAnswer(_names(one.example), _prompt_text(one), one.reference, said.text.strip(), one.example.task)
        for one, said in zip(questions, answers, strict=True)
    ]


def rates(answers: Sequence[HeldoutAnswer]) -> dict[str, float]:
    """Over the transcripts `wer`, over conversations `answer_wer`, over labels `exact_match`, as far as there are some.

    `answer_wer` is the word error rate of an answer against the one in the data, whatever was asked: a curve that falls
    as answers come nearer to those, no measure of how right an answer in other words is.

    Texts are compared without language tags, case and punctuation (Whisper's basic normaliser); Chinese, Japanese and
    Korean characters count as words, so that the rate there is one of characters.

    Raises:
        UserError: a package of the extra `eval` is missing.
    """
    values = {}
    scored = [one for one in answers if one.task in TRANSCRIBED | CONVERSED | LABELLED]
    normal = _normaliser() if scored else str
    pairs = [(one.task, normal(one.reference), normal(one.hypothesis)) for one in scored]
    for name, tasks in (("wer", TRANSCRIBED), ("answer_wer", CONVERSED)):
        counts = [edit_counts(reference.split(), said.split()) for task, reference, said in pairs if task in tasks]
        if any(num_words for *_, num_words in counts):
            values[name] = float(WER.of(np.sum(counts, axis=0)))
    right = [float(reference == said) for task, reference, said in pairs if task in LABELLED]
    if right:
        values["exact_match"] = sum(right) / len(right)
    return values


def _normaliser() -> Callable[[str], str]:
    try:
        from whisper_normalizer.basic import BasicTextNormalizer
    except ImportError as error:
        raise UserError(
            "error rates of held-out answers need whisper-normalizer; run `pip install 'auricle[eval]'`"
        ) from error
    basic = BasicTextNormalizer()
    return lambda text: " ".join(re.sub(r"([぀-ヿ㐀-鿿가-힯])", r" \1 ", basic(re.sub(r"<\|.*?\|>", "", text))).split())


def _names(example: Example) -> str:
    return ", ".join(
        recording.path.name if recording.offset is None else f"{recording.path.name}@{recording.offset}"
        for recording in example.recordings
    )


def _prompt_text(question: Question) -> str:
    prompt = question.request.prompt
    if isinstance(prompt, RawPrompt):
        return "".join(part if isinstance(part, str) else "<audio>" for part in prompt.content)
    return " / ".join(_text(message) for message in prompt if message.role == "user")


def _text(message: Message) -> str:
    return "".join(part if isinstance(part, str) else "<audio>" for part in message.content)
