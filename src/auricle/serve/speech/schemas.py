"""The forms that OpenAI's audio endpoints take, and the objects they answer with.

What its clients and those of other Whisper servers send is known. A field that would change the answer and is not
supported is refused unless its value is neutral.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from auricle.serve.wire.schemas import Given, Neutral, Strict

Format = Literal["json", "text", "srt", "verbose_json", "vtt"]


def _refuses(value: str, reason: str) -> BeforeValidator:
    """A word that OpenAI knows and this server cannot follow."""

    def check(given: Any) -> Any:
        if given == value:
            raise PydanticCustomError(
                "unsupported", "does not support {got}: {reason}", {"got": value, "reason": reason}
            )
        return given

    return BeforeValidator(check)


class TextForm(Strict):
    """Fields of a form: every value is sent as text."""

    model_config = ConfigDict(strict=False)


class ServerVad(TextForm):
    """What counts as speech, and what as a pause."""

    type: Literal["server_vad"]
    threshold: Annotated[float | None, Field(gt=0, lt=1)] = None
    """The probability at which speech begins."""
    prefix_padding_ms: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """So much of the pause before and after is heard with a stretch of speech."""
    silence_duration_ms: Annotated[int, Field(ge=0, le=60_000)] | None = None
    """A shorter pause does not end a stretch of speech."""


ChunkingStrategy = Annotated[
    Annotated[Literal["auto"], Tag("=auto")] | Annotated[ServerVad, Tag("=server_vad")],
    Discriminator(lambda value: "=server_vad" if isinstance(value, dict | ServerVad) else "=auto"),
]


class TranscriptionForm(TextForm):
    """What is wanted of a recording."""

    model: str = ""
    """Any name: a server has one model."""
    language: str = "auto"
    """What is spoken: an ISO code such as en, an English name, or auto to find it out."""
    languages: Annotated[tuple[str, ...], Field(alias="languages[]")] = ()
    """One language that may be spoken; as `language`."""
    prompt: str = ""
    """Text that stands before every stretch of speech: names, spellings."""
    response_format: Annotated[Format, _refuses("diarized_json", "the model does not tell speakers apart")] = "json"
    """The form of the answer."""
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0
    """0 takes the likeliest token always; a text that came out as a loop is tried again at higher ones."""
    timestamp_granularities: Annotated[
        tuple[Annotated[Literal["segment"], _refuses("word", "the model does not time words")], ...],
        Field(alias="timestamp_granularities[]"),
    ] = ()
    """Stretches of speech have times."""
    include: Annotated[tuple[Literal["logprobs"], ...], Field(alias="include[]")] = ()
    """The log-probability of every token; with json."""
    stream: bool = False
    """Send each stretch of speech as soon as it is ready, as server-sent events; with json or text."""
    chunking_strategy: ChunkingStrategy = "auto"
    """Where the recording is cut: at pauses."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Makes a draw repeatable."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw from the likeliest tokens that together are so probable."""
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] = 0
    """Draw from so many likeliest tokens; 0 and -1 mean all."""
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Draw from tokens at least so many times as likely as the likeliest."""
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Divides the logits of tokens that were said before."""
    keywords: Annotated[Any, Neutral(), Field(alias="keywords[]")] = None
    """Not supported; write them into prompt."""
    known_speaker_names: Annotated[Any, Neutral(), Field(alias="known_speaker_names[]")] = None
    """Not supported."""
    known_speaker_references: Annotated[Any, Neutral(), Field(alias="known_speaker_references[]")] = None
    """Not supported."""
    hotwords: Annotated[Any, Neutral()] = None
    """Not supported; write them into prompt."""
    frequency_penalty: Annotated[Any, Neutral("0", "0.0")] = None
    """Not supported."""
    presence_penalty: Annotated[Any, Neutral("0", "0.0")] = None
    """Not supported."""
    use_beam_search: Annotated[Any, Neutral("false", "False", "0")] = None
    """Not supported."""
    vad_filter: Annotated[Any, Neutral("true", "True", "1")] = None
    """Only speech is heard; see chunking_strategy."""
    condition_on_previous_text: Annotated[Any, Neutral("false", "False", "0")] = None
    """Not supported."""
    word_timestamps: Annotated[Any, Neutral("false", "False", "0")] = None
    """Not supported."""
    user: str | None = None
    """Accepted; changes nothing."""


class TranslationForm(TranscriptionForm):
    """What is wanted of a recording, in another language."""

    to_language: str = "en"
    """What is written: an ISO code such as de, or an English name."""


class Usage(Given):
    """What the request cost."""

    type: Literal["duration"] = "duration"
    seconds: float
    """Of the recording."""


class Logprob(Given):
    """One token of the answer."""

    token: str
    bytes: tuple[int, ...] | None
    """Its UTF-8; null where it is a part of a character."""
    logprob: float | None
    """Natural log; null where the engine does not know."""


class Transcription(Given):
    """response_format json."""

    text: str
    usage: Usage
    logprobs: tuple[Logprob, ...] = ()
    """Only where `include[]` asks for them."""


class TranscriptionSegment(Given):
    """One stretch of speech, or a window of at most 30 s of a longer one."""

    id: int
    seek: int
    """Where it starts, in frames of 10 ms."""
    start: float
    end: float
    """Seconds from the start of the recording."""
    text: str
    tokens: tuple[int, ...] = ()
    """Always empty: engines give texts, not ids."""
    temperature: float
    avg_logprob: float | None
    """Of its tokens, natural log; null where the engine does not know."""
    compression_ratio: float
    no_speech_prob: float
    """1 - the mean probability of speech that the voice detector gave."""


class TranscriptionVerbose(Given):
    """response_format verbose_json."""

    task: Literal["transcribe", "translate"]
    language: str
    """The English name of what is spoken, or written by a translation; `undetermined` where nobody speaks."""
    duration: float
    text: str
    segments: tuple[TranscriptionSegment, ...]
    usage: Usage


class TranscriptDelta(Given):
    """More of a streamed text."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str
    logprobs: tuple[Logprob, ...] = ()
    """Only where `include[]` asks for them."""


class TranscriptDone(Transcription):
    """The end of a streamed text, with all of it."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
