"""Speech as it comes in: whose turn it is, and what can already be said of the words."""

from auricle.assistant.live.agreement import Agreement
from auricle.assistant.live.guess import Guesser
from auricle.assistant.live.listener import Listener, Stretch, StretchEnded, StretchEvent, StretchStarted
from auricle.assistant.live.microphone import Encoding, Microphone

__all__ = [
    "Agreement",
    "Encoding",
    "Guesser",
    "Listener",
    "Microphone",
    "Stretch",
    "StretchEnded",
    "StretchEvent",
    "StretchStarted",
]
