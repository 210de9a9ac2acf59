"""A prompt word for word through a chat endpoint: what vLLM is sent where its own template could not say it.

vLLM's server takes a chat template with a request when it runs with --trust-request-chat-template. `TEMPLATE` writes
the parts of the messages as they come, so that the client decides every token; the server counts what it hears.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain

from auricle.audio import Waveform, cut_windows
from auricle.conversation import DEFAULT_SYSTEM, Message, RawPrompt
from auricle.engines.interface import Request
from auricle.prepare.template import AUDIO, AUDIO_BOS, AUDIO_EOS, IM_END, IM_START

Part = str | Waveform
"""Text as it stands in the prompt, or one window of sound: the server repeats its placeholder."""

TEMPLATE = (
    "{%- for message in messages -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'text' -%}{{- part['text'] -}}{%- else -%}{{- '" + AUDIO + "' -}}{%- endif -%}"
    "{%- endfor -%}{%- endfor -%}"
)
_TOKEN = re.compile(r"<\|[^<>|\s]+\|>")
_LANGUAGE_TAG = re.compile(r"<\|[a-z]{2,3}\|>")


def verbatim(request: Request) -> list[Part]:
    """The parts of a request's prompt, as `prepare.render` and `prepare.render_raw` write it; each recording has its
    place.

    The windows of one recording stand side by side between its two brackets.
    """
    windows = (_recording(audio) for audio in request.audios)
    if isinstance(request.prompt, RawPrompt):
        pieces = ([piece] if isinstance(piece, str) else next(windows) for piece in request.prompt.content)
        return list(chain.from_iterable(pieces))
    return list(_turns(request.prompt, windows))


def special_token(texts: Sequence[str], *, tags_allowed: bool) -> str | None:
    """The first thing in texts that a server would read as a token of its own, such as `<|im_end|>`.

    tags_allowed: in a raw prompt a language tag such as `<|en|>` is that token for us too.
    """
    found = (token for text in texts for token in _TOKEN.findall(text))
    return next((token for token in found if not (tags_allowed and _LANGUAGE_TAG.fullmatch(token))), None)


def _turns(messages: Sequence[Message], windows: Iterator[list[Part]]) -> Iterator[Part]:
    if not messages or messages[0].role != "system":
        messages = [Message("system", (DEFAULT_SYSTEM,)), *messages]
    number = 0
    for message in messages:
        yield f"{IM_START}{message.role}\n"
        for piece in message.content:
            if isinstance(piece, str):
                yield piece
            else:
                number += 1
                yield f"Audio {number}: "
                yield from next(windows)
                yield "\n"
        yield f"{IM_END}\n"
    yield f"{IM_START}assistant\n"


def _recording(audio: Waveform) -> list[Part]:
    return [AUDIO_BOS, *cut_windows(audio), AUDIO_EOS]
