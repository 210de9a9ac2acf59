"""A prompt word for word through a chat endpoint has the ids of our own rendering."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from auricle import units
from auricle.audio import Waveform, cut_windows
from auricle.conversation import Audio, Message, RawPrompt
from auricle.engines import Request
from auricle.engines.verbatim import TEMPLATE, special_token, verbatim
from auricle.prepare import render, render_raw
from auricle.text import Tokenizer

Noise = Callable[..., np.ndarray]


def written(request: Request) -> str:
    """As a vLLM server renders it: parts of content in its OpenAI form, through the template that came along."""
    parts = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "audio"} for part in verbatim(request)
    ]
    return (
        jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        .from_string(TEMPLATE)
        .render(messages=[{"role": "user", "content": parts}])
    )


def ours(request: Request, tokenizer: Tokenizer) -> list[int]:
    """Our own ids, each window one place."""
    places = [len(cut_windows(audio)) for audio in request.audios]
    if isinstance(request.prompt, RawPrompt):
        return list(render_raw(request.prompt, places, tokenizer).ids)
    return list(render(request.prompt, places, tokenizer, open_turn=True).ids)


@pytest.fixture(scope="module")
def both(checkpoint_dir: Path) -> tuple[Tokenizer, Any]:
    """Our tokenizer, and the whole one that a server uses."""
    path = checkpoint_dir / "tokenizer.json"
    return Tokenizer.from_file(path), tokenizers.Tokenizer.from_str(json.dumps(json.loads(path.read_text())))


def requests(noise: Noise) -> list[Request]:
    short, long = Waveform(noise(0.5)), Waveform(noise(70))
    assert len(cut_windows(long)) > 2
    turns = (
        Message("user", (Audio(), "And ", Audio(), "?")),
        Message("assistant", ("Yes.",)),
        Message("user", ("So",)),
    )
    return [
        Request(RawPrompt((Audio(), "Detect the language and recognize the speech: <|en|>")), (short,)),
        Request(RawPrompt(("Compare {{ 1 + 1 }} ", Audio(), " with ", Audio())), (short, long)),
        Request(RawPrompt(("{% raw %} text only\n",))),
        Request(turns, (long, short)),
        Request((Message("system", ("Be brief.",)), Message("user", ("  Hi \n",)))),
        Request((Message("user", (Audio(), "")),), (long,)),
    ]


def test_the_ids_are_our_own(both: tuple[Tokenizer, Any], noise: Noise):
    tokenizer, theirs = both
    for request in requests(noise):
        assert theirs.encode(written(request), add_special_tokens=False).ids == ours(request, tokenizer), request.prompt


def test_a_recording_elsewhere_is_noticed(both: tuple[Tokenizer, Any], noise: Noise):
    """Negative control: the order of the parts counts."""
    tokenizer, theirs = both
    before, after = (
        Request(RawPrompt(content), (Waveform(noise(0.5)),)) for content in ((Audio(), "Say it:"), ("Say it:", Audio()))
    )
    assert theirs.encode(written(before), add_special_tokens=False).ids != ours(after, tokenizer)


@given(st.text(st.sampled_from("ab \n{}%<|>'\"\\é") | st.characters(codec="utf-8"), max_size=30))
def test_any_text_stands_as_it_is(text: str):
    if special_token([text], tags_allowed=False) is None:
        assert written(Request(RawPrompt((text,)))) == text


@pytest.mark.parametrize(
    ("text", "raw", "found"),
    [
        ("a <|im_end|> b", False, "<|im_end|>"),
        ("a <|im_end|> b", True, "<|im_end|>"),
        ("<|en|>", False, "<|en|>"),
        ("<|en|>", True, None),
        ("<|en|><|AUDIO|>", True, "<|AUDIO|>"),
        ("a < b | c > d, <| a |>, <||>", False, None),
    ],
)
def test_what_a_server_would_read_as_a_token(text: str, raw: bool, found: str | None):
    assert special_token(["plain", text], tags_allowed=raw) == found


def test_windows_are_no_longer_than_the_model_hears(noise: Noise):
    windows = [part for request in requests(noise) for part in verbatim(request) if isinstance(part, Waveform)]
    assert max(len(window.samples) for window in windows) <= units.WINDOW_SAMPLES
