"""What a client wants to be done with a recording, and how the assistant is told."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from auricle.assistant import Assistant, Result, Watch
from auricle.assistant.languages import language_code, language_name
from auricle.audio import Decoded, VoiceActivity
from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.serve.speech.schemas import TextForm, TranscriptionForm, TranslationForm
from auricle.serve.wire.errors import ApiError
from auricle.serve.wire.fields import describe_field
from auricle.serve.wire.schemas import shown

F = TypeVar("F", bound=TextForm)
_STRATEGY = "chunking_strategy"
_STREAMED = ("json", "text")
_MS_PER_S = 1000
_REGION = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{2,8})*")  # BCP 47: a region or a script is not heard


@dataclass(frozen=True, slots=True)
class Wanted:
    """One transcription or translation.

    to: the English name of the language to write; None writes what is said.
    language: the ISO code of the speech, or auto.
    response_format: one of OpenAI's.
    has_logprobs: whether the tokens' log-probabilities belong to the answer.
    """

    to: str | None
    language: str
    prompt: str
    response_format: str
    sampling: Sampling
    voice: VoiceActivity
    stream: bool
    has_logprobs: bool

    def results(self, assistant: Assistant, recording: Decoded, watch: Watch) -> Iterator[Result]:
        """One result; `watch` hears of every segment before.

        Raises:
            UserError: the recording cannot be heard, or the engine cannot do this.
        """
        if self.to is None:
            return assistant.transcribe_each(
                [recording],
                language=self.language,
                initial_prompt=self.prompt,
                sampling=self.sampling,
                voice=self.voice,
                watch=watch,
            )
        return assistant.translate_each(
            [recording],
            to=self.to,
            language=self.language,
            initial_prompt=self.prompt,
            sampling=self.sampling,
            voice=self.voice,
            watch=watch,
        )


def transcription(texts: Mapping[str, list[str]]) -> Wanted:
    """What the fields of a transcription ask for.

    Raises:
        ApiError: 400, one is wrong, unknown or not supported, or two do not go together.
    """
    return _wanted(read_fields(texts, TranscriptionForm), None)


def translation(texts: Mapping[str, list[str]]) -> Wanted:
    """What the fields of a translation ask for: English, unless to_language names another.

    Raises:
        ApiError: 400, one is wrong, unknown or not supported, or two do not go together.
    """
    form = read_fields(texts, TranslationForm)
    return _wanted(form, _checked("to_language", language_name, form.to_language.strip()))


def read_fields(texts: Mapping[str, list[str]], form: type[F]) -> F:
    """What a form's texts mean; a field without a text counts as not sent, lists may come without their [].

    Raises:
        ApiError: 400, a field is wrong, unknown, not supported or sent twice.
    """
    lists = {field.alias for field in form.model_fields.values() if field.alias}
    values: dict[str, Any] = {}
    strategy: dict[str, Any] = {}
    for name, sent in texts.items():
        key = f"{name}[]" if f"{name}[]" in lists else name
        given = [text for text in sent if text.strip()]
        if key not in lists and len(sent) > 1:
            raise ApiError(400, f"{shown(name)[1:-1]} was sent {len(sent)} times; send it once", param=name[:200])
        if not given:
            continue
        if key in lists:
            values.setdefault(key, []).extend(given)
        elif key.startswith(f"{_STRATEGY}[") and key.endswith("]"):  # as OpenAI's client sends objects
            strategy[key[len(_STRATEGY) + 1 : -1]] = given[0]
        else:
            values[key] = _object(given[0]) if key == _STRATEGY else given[0]
    if strategy:
        values[_STRATEGY] = strategy
    try:
        return form.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = tuple(part for part in first["loc"] if isinstance(part, str))  # not which one of a list
        raise ApiError(400, **describe_field({**first, "loc": place})) from None


def _object(text: str) -> Any:
    """JSON where it is an object; other texts stay."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text


def _wanted(form: TranscriptionForm, to: str | None) -> Wanted:
    for param, is_wanted, formats in (("stream", form.stream, _STREAMED), ("include[]", form.include, ("json",))):
        if is_wanted and form.response_format not in formats:
            raise ApiError(
                400,
                f"{param} goes with response_format {' or '.join(formats)}: got {form.response_format}; leave one out",
                param=param,
                code="unsupported_value",
            )
    has_logprobs = bool(form.include)
    sampling = Sampling(
        temperature=form.temperature,
        top_p=form.top_p,
        top_k=max(form.top_k, 0),  # vLLM's -1 keeps every token, as our 0
        min_p=form.min_p,
        repetition_penalty=form.repetition_penalty,
        seed=form.seed,
        logprobs=0 if has_logprobs else None,
    )
    return Wanted(
        to, _language(form), form.prompt, form.response_format, sampling, _voice(form), form.stream, has_logprobs
    )


def _language(form: TranscriptionForm) -> str:
    """`languages[]` names those that may be spoken; one of them says as much as `language`."""
    spoken = {_checked("languages[]", _code, language) for language in form.languages}
    spoken |= {_checked("language", _code, form.language)} if form.language != "auto" else set()
    if len(spoken) > 1:
        raise ApiError(
            400,
            f"several languages are not supported: got {', '.join(sorted(spoken))}; name one, or none to find it out",
            param="languages[]",
            code="unsupported_value",
        )
    return next(iter(spoken), "auto")


def _code(language: str) -> str:
    """Also of a name in capitals, EN, and of one with a region, en-US."""
    language = language.strip()
    region = _REGION.fullmatch(language)
    return language_code(region[1].lower() if region else language)


def _checked(param: str, read: Callable[[str], str], text: str) -> str:
    try:
        return read(text)
    except UserError as error:
        raise ApiError(400, str(error), param=param, code="invalid_value") from error


def _voice(form: TranscriptionForm) -> VoiceActivity:
    given = form.chunking_strategy
    if given == "auto":
        return VoiceActivity()
    usual = VoiceActivity()
    pad_ms, silence_ms = given.prefix_padding_ms, given.silence_duration_ms
    return VoiceActivity(
        threshold=usual.threshold if given.threshold is None else given.threshold,
        pad_s=usual.pad_s if pad_ms is None else pad_ms / _MS_PER_S,
        min_silence_s=usual.min_silence_s if silence_ms is None else silence_ms / _MS_PER_S,
    )
