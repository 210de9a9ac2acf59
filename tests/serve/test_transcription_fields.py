"""The form's fields: OpenAI's, the neutral ones, the refused ones, the unknown ones."""

from typing import Any

import pytest

from auricle.audio import VoiceActivity
from auricle.conversation import Sampling
from auricle.serve.speech.request import Wanted, transcription, translation
from auricle.serve.wire.errors import ApiError

GREEDY = Sampling()


def asked(**texts: str | list[str]) -> Wanted:
    return transcription({name: [text] if isinstance(text, str) else text for name, text in texts.items()})


def refused(read: Any, **texts: str | list[str]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read({name: [text] if isinstance(text, str) else text for name, text in texts.items()})
    assert caught.value.status == 400
    return caught.value


def test_without_fields_words_are_written_in_the_language_spoken_greedily_as_json():
    assert asked() == Wanted(None, "auto", "", "json", GREEDY, VoiceActivity(), False, False)
    assert translation({}) == Wanted("English", "auto", "", "json", GREEDY, VoiceActivity(), False, False)


@pytest.mark.parametrize(
    ("texts", "name", "value"),
    [
        ({"language": "de"}, "language", "de"),
        ({"language": "German"}, "language", "de"),
        ({"language": "EN"}, "language", "en"),
        ({"language": "en-US"}, "language", "en"),
        ({"language": "zh_Hant_TW"}, "language", "zh"),
        ({"languages[]": ["pt-BR"]}, "language", "pt"),
        ({"language": "de", "user": "me", "word_timestamps": "false"}, "language", "de"),
        ({"language": "de", "condition_on_previous_text": "False"}, "language", "de"),
        ({"language": " auto "}, "language", "auto"),
        ({"languages[]": ["de"]}, "language", "de"),
        ({"languages[]": ["de", "German"], "language": "de"}, "language", "de"),
        ({"prompt": "Zürich, Auricle"}, "prompt", "Zürich, Auricle"),
        ({"response_format": "vtt"}, "response_format", "vtt"),
        ({"temperature": "0.4"}, "sampling", Sampling(temperature=0.4)),
        ({"temperature": "1", "seed": "7"}, "sampling", Sampling(temperature=1.0, seed=7)),
        ({"top_k": "-1"}, "sampling", GREEDY),
        (
            {"top_k": "5", "top_p": "0.5", "min_p": "0.1"},
            "sampling",
            Sampling(top_k=5, top_p=0.5, min_p=0.1),
        ),
        ({"repetition_penalty": "1.5"}, "sampling", Sampling(repetition_penalty=1.5)),
        ({"include[]": "logprobs"}, "sampling", Sampling(logprobs=0)),
        ({"include": "logprobs"}, "has_logprobs", True),
        ({"stream": "true"}, "stream", True),
        ({"stream": "True", "response_format": "text"}, "stream", True),
        ({"stream": "false", "response_format": "srt"}, "stream", False),
        ({"chunking_strategy": "auto"}, "voice", VoiceActivity()),
        ({"chunking_strategy": '{"type": "server_vad"}'}, "voice", VoiceActivity()),
        (
            {"chunking_strategy": '{"type": "server_vad", "threshold": 0.7, "prefix_padding_ms": 100}'},
            "voice",
            VoiceActivity(threshold=0.7, pad_s=0.1),
        ),
        (
            {"chunking_strategy[type]": "server_vad", "chunking_strategy[silence_duration_ms]": "750"},
            "voice",
            VoiceActivity(min_silence_s=0.75),
        ),
    ],
)
def test_a_field_means_what_it_says(texts: dict[str, Any], name: str, value: Any):
    assert getattr(asked(**texts), name) == value
    assert getattr(asked(), name) != value or value in (GREEDY, VoiceActivity(), "auto", False)


def test_the_language_to_write_is_a_name_or_a_code():
    assert translation({"to_language": ["de"]}).to == translation({"to_language": ["German"]}).to == "German"


@pytest.mark.parametrize(
    "texts",
    [
        {"model": "any/name-at.all"},
        {"language": "", "prompt": " ", "temperature": "", "response_format": "", "seed": ""},
        {"timestamp_granularities[]": "segment"},
        {"timestamp_granularities": ["segment", "segment"]},
        {"keywords[]": [""], "known_speaker_names": [], "known_speaker_references[]": "", "hotwords": ""},
        {"frequency_penalty": "0", "presence_penalty": "0.0", "use_beam_search": "false", "vad_filter": "true"},
        {"top_p": "1", "top_k": "0", "min_p": "0", "repetition_penalty": "1"},
    ],
)
def test_neutral_values_change_nothing(texts: dict[str, Any]):
    assert asked(**texts) == asked()


@pytest.mark.parametrize(
    ("texts", "param", "sentence"),
    [
        ({"temprature": "0"}, "temprature", "unknown field 'temprature'; did you mean temperature?"),
        ({"qwertz": "0"}, "qwertz", "unknown field 'qwertz'; leave it out"),
        ({"temperature": "1.5"}, "temperature", "temperature should be less than or equal to 1: got '1.5'"),
        ({"temperature": "-0.1"}, "temperature", "greater than or equal to 0"),
        ({"temperature": "nan"}, "temperature", "finite number"),
        ({"temperature": "warm"}, "temperature", "got 'warm'"),
        ({"temperature": ["0", "0"]}, "temperature", "temperature was sent 2 times; send it once"),
        ({"top_p": "0"}, "top_p", "greater than 0"),
        ({"seed": "-1"}, "seed", "greater than or equal to 0"),
        ({"seed": "1" * 5000}, "seed", "seed"),
        ({"response_format": "xml"}, "response_format", "response_format is 'xml', expected 'json', 'text', 'srt'"),
        (
            {"response_format": "diarized_json"},
            "response_format",
            "does not support diarized_json: the model does not tell speakers apart",
        ),
        (
            {"timestamp_granularities[]": ["segment", "word"]},
            "timestamp_granularities[]",
            "does not support word: the model does not time words",
        ),
        ({"timestamp_granularities[]": "letter"}, "timestamp_granularities[]", "is 'letter', expected 'segment'"),
        ({"include[]": "item"}, "include[]", "include[] is 'item', expected 'logprobs'"),
        (
            {"include[]": "logprobs", "response_format": "verbose_json"},
            "include[]",
            "include[] goes with response_format json: got verbose_json",
        ),
        (
            {"stream": "true", "response_format": "srt"},
            "stream",
            "stream goes with response_format json or text: got srt; leave one out",
        ),
        ({"stream": "perhaps"}, "stream", "got 'perhaps'"),
        ({"language": "klingon!"}, "language", "unknown language 'klingon!'"),
        ({"languages[]": ["de", "qwertz"]}, "languages[]", "unknown language 'qwertz'"),
        ({"languages[]": ["de", "en"]}, "languages[]", "several languages are not supported: got de, en"),
        ({"languages[]": ["de"], "language": "en"}, "languages[]", "several languages are not supported"),
        ({"keywords[]": ["Auricle"]}, "keywords[]", "keywords[] is not supported"),
        ({"known_speaker_names[]": ["me"]}, "known_speaker_names[]", "known_speaker_names[] is not supported"),
        ({"known_speaker_references": ["data:"]}, "known_speaker_references[]", "is not supported"),
        ({"hotwords": "Auricle"}, "hotwords", "hotwords is not supported"),
        ({"frequency_penalty": "0.5"}, "frequency_penalty", "frequency_penalty is not supported"),
        ({"presence_penalty": "2"}, "presence_penalty", "presence_penalty is not supported"),
        ({"use_beam_search": "true"}, "use_beam_search", "use_beam_search is not supported"),
        ({"vad_filter": "false"}, "vad_filter", "vad_filter is not supported"),
        ({"chunking_strategy": "none"}, "chunking_strategy", "chunking_strategy is 'none', expected 'auto'"),
        ({"chunking_strategy": "[1]"}, "chunking_strategy", "chunking_strategy is '[1]', expected 'auto'"),
        ({"chunking_strategy": '{"a": ' * 9999}, "chunking_strategy", "expected 'auto'"),
        ({"chunking_strategy": "{}"}, "chunking_strategy.type", "chunking_strategy.type is missing"),
        (
            {"chunking_strategy": '{"type": "server_vad", "threshold": 1}'},
            "chunking_strategy.threshold",
            "should be less than 1: got 1",
        ),
        (
            {"chunking_strategy": '{"type": "server_vad", "silence_duration": 1}'},
            "chunking_strategy.silence_duration",
            "unknown field 'chunking_strategy.silence_duration'; did you mean silence_duration_ms?",
        ),
        (
            {"chunking_strategy[type]": "semantic_vad"},
            "chunking_strategy",
            "chunking_strategy is of kind 'semantic_vad', expected 'server_vad'",
        ),
        (
            {"chunking_strategy[type]": ["server_vad", "server_vad"]},
            "chunking_strategy[type]",
            "was sent 2 times",
        ),
        ({"to_language": "de"}, "to_language", "unknown field 'to_language'; did you mean language?"),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(texts: dict[str, Any], param: str, sentence: str):
    error = refused(transcription, **texts)
    assert sentence in error.message
    assert error.param == param


def test_translations_refuse_languages_that_nobody_writes():
    assert refused(translation, to_language="xx").param == "to_language"
    assert refused(translation, to_language="auto").param == "to_language"
