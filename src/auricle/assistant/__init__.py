"""The facade: load a model, transcribe, translate, ask, chat; describe a model, assemble a fresh one."""

from auricle.assistant.assemble import Assembled, assemble
from auricle.assistant.chat import Chat
from auricle.assistant.describe import ModelInfo, describe
from auricle.assistant.facade import Assistant, load, question_about
from auricle.assistant.fallback import NO_FALLBACK, Fallback
from auricle.assistant.formats import Layout, Writer, check_format, render_format
from auricle.assistant.recognise import Watch
from auricle.assistant.result import Result, Segment, segment_delta

__all__ = [
    "NO_FALLBACK",
    "Assembled",
    "Assistant",
    "Chat",
    "Fallback",
    "Layout",
    "ModelInfo",
    "Result",
    "Segment",
    "Watch",
    "Writer",
    "assemble",
    "check_format",
    "describe",
    "load",
    "question_about",
    "render_format",
    "segment_delta",
]
