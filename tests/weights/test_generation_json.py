"""How a checkpoint says it wants to be answered with, and values it cannot mean."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.weights.generation_json import read_generation

Write = Callable[[Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(contents: Any) -> Path:
        (tmp_path / "generation_config.json").write_text(json.dumps(contents))
        return tmp_path

    return write


def test_the_published_instruct_file(write: Write):
    published = {
        "chat_format": "chatml",
        "do_sample": True,
        "eos_token_id": [151643, 151645],
        "pad_token_id": 151643,
        "repetition_penalty": 1.1,
        "temperature": 0.7,
        "top_k": 20,
        "top_p": 0.5,
        "transformers_version": "4.38.1",
    }
    read = read_generation(write(published))
    assert read.stop_ids == {151643, 151645}
    assert read.pad_id == 151643
    assert read.sampling == Sampling(temperature=0.7, top_k=20, top_p=0.5, repetition_penalty=1.1)


def test_no_file_is_greedy(tmp_path: Path):
    read = read_generation(tmp_path)
    assert (read.stop_ids, read.pad_id, read.sampling) == (frozenset(), None, Sampling())


@pytest.mark.parametrize("contents", [{}, {"do_sample": False}, {"do_sample": None}])
def test_sampling_values_are_not_heard_without_do_sample(contents: dict[str, Any], write: Write):
    silent = {"temperature": 0.7, "top_k": 20, "top_p": 0.5, "min_p": 0.1, "repetition_penalty": 1.1}
    assert read_generation(write(contents | silent)).sampling == Sampling(repetition_penalty=1.1)


def test_a_file_that_only_says_do_sample(write: Write):
    assert read_generation(write({"do_sample": True})).sampling == Sampling(temperature=1.0, top_k=50)
    assert read_generation(write({"do_sample": True, "top_k": 0})).sampling == Sampling(temperature=1.0, top_k=0)


def test_every_key_we_know(write: Write):
    contents = {"num_beams": 3, "length_penalty": 2, "min_new_tokens": 4, "max_new_tokens": 9, "max_length": 20}
    expected = Sampling(num_beams=3, length_penalty=2.0, min_new_tokens=4, max_new_tokens=9, stop=("END", "\n"))
    assert read_generation(write(contents | {"stop_strings": ["END", "\n"]})).sampling == expected
    assert read_generation(write({"stop_strings": "END"})).sampling == Sampling(stop=("END",))


def test_null_is_silence(write: Write):
    contents = dict.fromkeys(("eos_token_id", "pad_token_id", "top_k", "max_new_tokens", "stop_strings", "temperature"))
    read = read_generation(write(contents | {"do_sample": True}))
    assert (read.stop_ids, read.pad_id, read.sampling) == (frozenset(), None, Sampling(temperature=1.0, top_k=50))


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        ({"do_sample": True, "temperature": -0.5}, "temperature must not be negative: got -0.5"),
        ({"do_sample": True, "temperature": "warm"}, "temperature is 'warm', expected a number"),
        ({"do_sample": True, "top_k": -1}, "top_k must not be negative: got -1"),
        ({"do_sample": True, "top_k": 2.5}, "top_k is 2.5, expected a whole number"),
        ({"do_sample": True, "top_p": 1.5}, "top_p must lie in (0, 1]: got 1.5"),
        ({"do_sample": True, "min_p": 1}, "min_p must lie in [0, 1): got 1.0"),
        ({"do_sample": True, "num_beams": 4}, "got num_beams 4 and temperature 1.0"),
        ({"do_sample": "yes"}, "do_sample is 'yes', expected true or false"),
        ({"repetition_penalty": 0}, "repetition_penalty must be above 0: got 0.0"),
        ({"num_beams": True}, "num_beams is True, expected a whole number"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1: got 0"),
        ({"min_new_tokens": 300}, "min_new_tokens 300 exceeds max_new_tokens 256"),
        ({"stop_strings": [""]}, "stop_strings is [''], expected a list of texts"),
        ({"stop_strings": 3}, "stop_strings is 3, expected a list of texts"),
        ({"eos_token_id": "<|im_end|>"}, "eos_token_id is '<|im_end|>', expected a whole number"),
        ({"pad_token_id": [1]}, "pad_token_id is [1], expected a whole number"),
        ([1], "holds a list, expected a JSON object"),
    ],
)
def test_a_value_it_cannot_mean(contents: Any, sentence: str, write: Write):
    directory = write(contents)
    with pytest.raises(UserError) as caught:
        read_generation(directory)
    assert str(caught.value).startswith(str(directory / "generation_config.json"))
    assert sentence in str(caught.value)
