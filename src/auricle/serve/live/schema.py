"""What a session, a response and an item may be told, checked; what is not supported is refused by its name."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from auricle.assistant.languages import language_code
from auricle.assistant.live import Encoding
from auricle.audio import VoiceActivity
from auricle.errors import UserError
from auricle.serve.live.events import Event, invalid, shown

M = TypeVar("M", bound=BaseModel)
_LONGEST_TEXT = 100_000  # characters of one text
_ATOMIC = frozenset({"format"})  # fields that an update replaces whole


def _only(*neutral: object) -> BeforeValidator:
    """A field whose other values would change the answer."""

    def check(value: object) -> object:
        if value not in neutral:
            raise ValueError(f"is not supported by this server: got {shown(value)}; leave it out")
        return value

    return BeforeValidator(check)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]
MaxTokens = Annotated[int, Field(ge=1, le=2**31)] | Literal["inf"] | None
Temperature = Annotated[float, Field(ge=0, le=2)] | None
Modalities = Annotated[list[str] | None, _only(None, ["text"])]
NoTools = Annotated[list[Any] | None, _only(None, [])]
NoChoice = Annotated[str | None, _only(None, "auto", "none")]
Nothing = Annotated[None, _only(None)]


class Format(_Model):
    """How samples stand in bytes."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: int | None = None

    @property
    def encoding(self) -> Encoding:
        """For the microphone; raises UserError where the rate is none of sound."""
        kind: Any = self.type.removeprefix("audio/")
        return Encoding(kind, self.rate or (24_000 if kind == "pcm" else 8_000))

    @field_validator("rate")
    @classmethod
    def _rate(cls, rate: int | None, info: Any) -> int | None:
        if rate is not None and "type" in info.data:
            Encoding(info.data["type"].removeprefix("audio/"), rate)
        return rate


class Transcription(_Model):
    """Of what the user says. model: any name. language: an ISO code, a name, or auto; None is English."""

    model: Text | None = None
    language: Text | None = None
    prompt: Text | None = None
    keywords: NoTools = None
    languages: NoTools = None
    delay: Nothing = None

    @field_validator("language")
    @classmethod
    def _language(cls, language: str | None) -> str | None:
        return language if language is None else language_code(language)


class TurnDetection(_Model):
    """Whether somebody speaks, by Silero's probability."""

    type: Annotated[Literal["server_vad"], _only("server_vad")] = "server_vad"
    threshold: float = Field(default=0.5, gt=0, lt=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=10_000)
    silence_duration_ms: int = Field(default=500, ge=100, le=10_000)
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: Nothing = None

    @property
    def voice(self) -> VoiceActivity:
        """For the listener."""
        return VoiceActivity(
            threshold=self.threshold, min_silence_s=self.silence_duration_ms / 1000, pad_s=self.prefix_padding_ms / 1000
        )


class Input(_Model):
    """The microphone's side."""

    format: Format = Field(default_factory=lambda: Format(type="audio/pcm", rate=24_000))
    noise_reduction: Nothing = None
    transcription: Transcription | None = None
    turn_detection: TurnDetection | None = Field(default_factory=lambda: TurnDetection())

    @property
    def voice(self) -> VoiceActivity | None:
        """What the listener waits for; None where only a commit ends a turn."""
        return None if self.turn_detection is None else self.turn_detection.voice


class Audio(_Model):
    """`output` says how answers are spoken; they are not."""

    input: Input = Field(default_factory=Input)
    output: dict[str, Any] | None = None


class TranscriptionAudio(_Model):
    """Only the microphone's side."""

    input: Input = Field(default_factory=lambda: Input(transcription=Transcription()))


class TranscriptionSession(_Model):
    """Speech in, words out."""

    type: Literal["transcription"] = "transcription"
    audio: TranscriptionAudio = Field(default_factory=TranscriptionAudio)
    include: NoTools = None


class RealtimeSession(_Model):
    """Voice chat."""

    type: Literal["realtime"] = "realtime"
    model: Text | None = None
    instructions: Text | None = None
    audio: Audio = Field(default_factory=Audio)
    output_modalities: Modalities = Field(default_factory=lambda: ["text"])
    max_output_tokens: MaxTokens = "inf"
    temperature: Temperature = None
    truncation: Annotated[Literal["auto", "disabled"], _only("auto", "disabled")] = "auto"
    tools: NoTools = None
    tool_choice: NoChoice = None
    parallel_tool_calls: bool | None = None
    include: NoTools = None
    prompt: Nothing = None
    reasoning: Nothing = None
    tracing: Nothing = None


Session = RealtimeSession | TranscriptionSession


class Part(_Model):
    """One part of an item's content."""

    type: Literal["input_text", "input_audio", "output_text", "text"]
    text: Text | None = None
    audio: str | None = None
    transcript: Text | None = None


class ItemParams(_Model):
    """A turn that the client writes; `type` item_reference names one that is there."""

    type: Annotated[str, _only("message", "item_reference")] = "message"
    id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None
    role: Literal["user", "assistant", "system"] | None = None
    content: list[Part] = Field(default_factory=list, max_length=100)


class ResponseParams(_Model):
    """One answer, other than the session says."""

    conversation: Literal["auto", "none"] | None = None
    input: list[ItemParams] | None = Field(default=None, max_length=1000)
    instructions: Text | None = None
    max_output_tokens: MaxTokens = None
    temperature: Temperature = None
    metadata: dict[str, Annotated[str, Field(max_length=512)]] | None = Field(default=None, max_length=16)
    output_modalities: Modalities = None
    audio: dict[str, Any] | None = None
    tools: NoTools = None
    tool_choice: NoChoice = None
    parallel_tool_calls: bool | None = None
    prompt: Nothing = None
    reasoning: Nothing = None


def read_as(model: type[M], value: object, param: str) -> M:
    """A client's value as a checked model.

    Raises:
        ApiError: a field is unknown, not supported, or has a wrong value; the message and `param` name it.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join([param, *map(str, first["loc"])])
        if first["type"] == "extra_forbidden":
            raise invalid(f"{name} is not supported by this server; leave it out", param=name) from None
        problem = first["msg"]
        if first["type"] == "value_error":  # our own
            raise invalid(f"{name} {problem.removeprefix('Value error, ')}", param=name) from None
        raise invalid(f"{name}: {problem}", param=name) from None
    except UserError as error:
        raise invalid(str(error), param=param) from None


def updated(session: Session, patch: object) -> Session:
    """The session after `session.update`: fields that the patch does not name stay.

    Raises:
        ApiError: as `read_as`.
    """
    if not isinstance(patch, dict):
        raise invalid("session must be an object", param="session")
    kind = patch.get("type", session.type)
    if kind == session.type:
        return read_as(type(session), _merged(session.model_dump(), patch), "session")
    if kind == "transcription":
        return read_as(TranscriptionSession, _merged(TranscriptionSession().model_dump(), patch), "session")
    if kind == "realtime":
        return read_as(RealtimeSession, _merged(RealtimeSession().model_dump(), patch), "session")
    raise invalid(
        f"session.type must be realtime or transcription: got {shown(kind)}", param="session.type", code="invalid_value"
    )


def _merged(old: Event, patch: Mapping[str, Any]) -> Event:
    new = dict(old)
    for name, value in patch.items():
        before = old.get(name)
        both = isinstance(before, dict) and isinstance(value, dict) and name not in _ATOMIC
        new[name] = _merged(before, value) if both and isinstance(before, dict) else value
    return new
