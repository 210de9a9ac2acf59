"""A sample as it is put to a model: the form of its prompt, the official settings, and what tells one answer."""

import hashlib
import json
from typing import Literal

from auricle.audio import Waveform
from auricle.conversation import Audio, Message, RawPrompt, Sampling
from auricle.engines import Request
from auricle.evaluate.sample import Sample
from auricle.settings import to_tree

OFFICIAL = Sampling(min_new_tokens=1, max_new_tokens=256)
"""`generate(max_new_tokens=256, min_new_tokens=1, do_sample=False)` of all the published scripts (evaluate_asr.py), and
no repetition penalty, whatever a checkpoint's generation_config.json says."""

AskedForm = Literal["auto", "raw", "chat"]
Form = Literal["raw", "chat", "none"]
"""none: of a model that takes no prompt."""

_SCHEMA = 1  # of keys; another number where the same key would mean another answer


def form_of(sample: Sample, asked: AskedForm) -> Form:
    """`auto` is raw as in the published scripts, and the chat template for the task `chat` as in evaluate_chat.py."""
    if asked != "auto":
        return asked
    return "chat" if sample.task == "chat" else "raw"


def request_of(sample: Sample, waveform: Waveform, form: Form) -> Request:
    """The recording, then the sample's prompt; in the chat form below the template's own system message."""
    content = (Audio(), sample.prompt)
    prompt = (Message("user", content),) if form == "chat" else RawPrompt(content)
    return Request(prompt, (waveform,))


def answer_key(sample: Sample, recording: str, *, identity: str, sampling: Sampling, form: Form) -> str:
    """What an answer is kept by: sha256 over all that decides it.

    Batch size, processes, device and paths are no part of it. Another dtype and another engine round otherwise, and
    are part of `identity`.

    Args:
        sample: its prompt, and of a model without prompts the task and the languages.
        recording: sha256 of the file's bytes.
        identity: of the model and what runs it, `Answerer.identity`.
        sampling: every setting of it.
        form: of the prompt.
    """
    told = (sample.prompt,) if form != "none" else (sample.task, sample.language, sample.target_language)
    facts = [_SCHEMA, identity, form, told, recording, to_tree(sampling)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
