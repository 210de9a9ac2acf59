"""The messages of a chat as clients send them."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from auricle.serve.wire.schemas import Neutral, Strict, tag_of_content, tag_of_role, tag_of_type

MOST_PARTS = 128  # of a message
MOST_MESSAGES = 1000


class TextPart(Strict):
    """Some text."""

    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = None
    """Changes no answer."""


class InputAudio(Strict):
    """A recording's file."""

    data: Annotated[str, Field(min_length=1)]
    """The file's bytes in base64."""
    format: Annotated[str, Field(min_length=1, max_length=32)] = "wav"
    """The file says itself what it is: any container and codec that FFmpeg knows."""


class InputAudioPart(Strict):
    """A recording inside the request."""

    type: Literal["input_audio"]
    input_audio: InputAudio
    prompt_cache_breakpoint: dict[str, Any] | None = None
    """Changes no answer."""


class AudioUrl(Strict):
    """Where a recording's file lies."""

    url: Annotated[str, Field(min_length=1)]
    """`https://...`, or `data:audio/wav;base64,...`."""


class AudioUrlPart(Strict):
    """A recording to be fetched; vLLM's form."""

    type: Literal["audio_url"]
    audio_url: AudioUrl
    prompt_cache_breakpoint: dict[str, Any] | None = None
    """Changes no answer."""


Part = Annotated[
    Annotated[TextPart, Tag("=text")]
    | Annotated[InputAudioPart, Tag("=input_audio")]
    | Annotated[AudioUrlPart, Tag("=audio_url")],
    Discriminator(tag_of_type),
]


class RefusalPart(Strict):
    """A text by which a model refused to answer."""

    type: Literal["refusal"]
    refusal: str


SaidPart = Annotated[
    Annotated[TextPart, Tag("=text")] | Annotated[RefusalPart, Tag("=refusal")], Discriminator(tag_of_type)
]


class AskingMessage(Strict):
    """A turn of the user, or what stands before the conversation."""

    role: Literal["system", "developer", "user"]
    """`developer` means `system`."""
    content: Annotated[
        Annotated[str, Tag("=text")] | Annotated[list[Part], Field(min_length=1, max_length=MOST_PARTS), Tag("=list")],
        Discriminator(tag_of_content),
    ]
    """A text, or texts and recordings in the order they are to be heard."""
    name: Annotated[Any, Neutral()] = None
    """The model's chat template has no place for names."""


class AssistantMessage(Strict):
    """A turn of the model."""

    role: Literal["assistant"]
    content: (
        Annotated[
            Annotated[str, Tag("=text")]
            | Annotated[list[SaidPart], Field(min_length=1, max_length=MOST_PARTS), Tag("=list")],
            Discriminator(tag_of_content),
        ]
        | None
    )
    """What it said; null, nothing."""
    name: Annotated[Any, Neutral()] = None
    refusal: Annotated[Any, Neutral("")] = None
    audio: Annotated[Any, Neutral()] = None
    annotations: Annotated[Any, Neutral([])] = None
    function_call: Annotated[Any, Neutral()] = None
    tool_calls: Annotated[Any, Neutral([])] = None


Message = Annotated[
    Annotated[AskingMessage, Tag("=system")]
    | Annotated[AskingMessage, Tag("=developer")]
    | Annotated[AskingMessage, Tag("=user")]
    | Annotated[AssistantMessage, Tag("=assistant")],
    Discriminator(tag_of_role),
]
