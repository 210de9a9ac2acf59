"""The items of one conversation: turns of text and sound, in order, and the requests that answer them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from auricle import units
from auricle.assistant.live import Microphone
from auricle.audio import Waveform
from auricle.conversation import Audio, Message, Role
from auricle.engines import Request
from auricle.errors import UserError
from auricle.serve.live.events import Event, invalid, new_id, read_audio
from auricle.serve.live.schema import Format, ItemParams, Part

_MOST_BYTES = 64 * 2**20  # of all items together: about 17 minutes of sound
_MOST_ITEMS = 1000
_TYPES = {"user": ("input_text", "input_audio"), "system": ("input_text",), "assistant": ("output_text", "text")}
_START = "root"  # what clients call the place before the first item


@dataclass(frozen=True, slots=True)
class Item:
    """One turn. parts: text and recordings, in order."""

    role: Role
    parts: tuple[str | Waveform, ...]
    id: str = field(default_factory=lambda: new_id("item"))
    status: str = "completed"

    @property
    def wire(self) -> Event:
        """As clients read it, without its sound."""
        text_type = "output_text" if self.role == "assistant" else "input_text"
        content: list[Event] = [
            {"type": text_type, "text": part} if isinstance(part, str) else {"type": "input_audio", "transcript": None}
            for part in self.parts
        ]
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": content,
        }

    @property
    def num_bytes(self) -> int:
        """About so much memory."""
        sizes = (4 * len(part) if isinstance(part, str) else part.samples.nbytes for part in self.parts)
        return sum(sizes)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and the items that it leaves out."""

    request: Request
    left_out: tuple[str, ...] = ()


class Conversation:
    """Items in order; the oldest are forgotten where all together are too large.

    most_bytes: a smaller limit for now.
    """

    def __init__(self, most_bytes: Callable[[], int] | None = None) -> None:
        self._most_bytes = most_bytes or (lambda: _MOST_BYTES)
        self._items: list[Item] = []
        self.last_id: str | None = None

    @property
    def items(self) -> tuple[Item, ...]:
        """The oldest first."""
        return tuple(self._items)

    def add(self, item: Item, *, after: str | None = None) -> tuple[str | None, list[str]]:
        """Put an item at the end or after another -> the id of the one before it, and of those that are forgotten.

        Raises:
            ApiError: there is no such other item, or one with this id is there already.
        """
        if any(other.id == item.id for other in self._items):
            raise invalid(f"there is an item {item.id} already", param="item.id", code="item_exists")
        place = self._place_after(after)
        self._items.insert(place, item)
        before = self._items[place - 1].id if place else self.last_id if after is None else None
        self.last_id = self._items[-1].id
        forgotten = []
        num_bytes, most_bytes = sum(other.num_bytes for other in self._items), min(_MOST_BYTES, self._most_bytes())
        while len(self._items) > 1 and (len(self._items) > _MOST_ITEMS or num_bytes > most_bytes):
            oldest = self._items.pop(0)
            num_bytes -= oldest.num_bytes
            forgotten.append(oldest.id)
        return before, forgotten

    def pass_by(self, item: Item) -> str | None:
        """Only remember that this item was the last -> the id of the one before it."""
        before, self.last_id = self.last_id, item.id
        return before

    def find(self, item_id: str) -> Item:
        """The item with this id.

        Raises:
            ApiError: there is none.
        """
        for item in self._items:
            if item.id == item_id:
                return item
        raise invalid(f"there is no item {item_id[:80]}", param="item_id", code="item_not_found")

    def replace(self, item: Item) -> None:
        """Another version of an item; nothing where it was forgotten."""
        self._items = [item if other.id == item.id else other for other in self._items]

    def remove(self, item_id: str) -> None:
        """Forget one; nothing where it is not there."""
        self._items = [item for item in self._items if item.id != item_id]
        if self.last_id == item_id:
            self.last_id = self._items[-1].id if self._items else None

    def _place_after(self, item_id: str | None) -> int:
        if item_id is None:
            return len(self._items)
        if item_id == _START:
            return 0
        return self._items.index(self.find(item_id)) + 1


def ways(items: Sequence[Item], instructions: str | None) -> Iterator[Asked]:
    """What to ask, the longest first: all, then without the oldest turn, the two oldest, the four oldest, and so on,
    at last the last turn alone. What the system says stays.
    """
    turns = [
        place
        for place, item in enumerate(items)
        if item.role == "user" and (place == 0 or items[place - 1].role != "user")
    ]
    num_left_out = 0
    while True:
        first = turns[num_left_out] if num_left_out else 0
        kept = [item for place, item in enumerate(items) if place >= first or item.role == "system"]
        left_out = tuple(item.id for item in items[:first] if item.role != "system")
        yield Asked(_request(kept, instructions), left_out)
        if num_left_out >= len(turns) - 1:
            return
        num_left_out = min(2 * num_left_out or 1, len(turns) - 1)


def read_item(params: ItemParams, audio_format: Format, find: Callable[[str], Item], *, param: str) -> Item:
    """An item that a client wrote.

    Raises:
        ApiError: it says nothing, or holds what such a turn cannot.
    """
    if params.type == "item_reference":
        if params.id is None:
            raise invalid(f"{param}.id is missing", param=f"{param}.id")
        return find(params.id)
    if params.role is None or not params.content:
        raise invalid(f"{param} needs a role and content", param=param, code="missing_content")
    parts = [
        _read_part(part, params.role, audio_format, f"{param}.content.{place}")
        for place, part in enumerate(params.content)
    ]
    return Item(params.role, tuple(parts), *([params.id] if params.id else []))


def check_audible(waveform: Waveform, param: str) -> Waveform:
    """Refuse what is too short for one audio token."""
    try:
        units.tokens_from_frames(units.frames_from_samples(len(waveform.samples)))
    except UserError as error:
        raise invalid(str(error), param=param, code="audio_too_short") from None
    return waveform


def _read_part(part: Part, role: Role, audio_format: Format, param: str) -> str | Waveform:
    if part.type not in _TYPES[role]:
        expected = " or ".join(_TYPES[role])
        raise invalid(f"{param}.type is {part.type}: expected {expected} in a turn of role {role}", param=param)
    if part.type != "input_audio":
        if part.text is None or not part.text.strip():
            raise invalid(f"{param}.text is empty", param=f"{param}.text")
        return part.text
    microphone = Microphone(audio_format.encoding)
    try:
        head = microphone.push(read_audio(part.audio, f"{param}.audio"))
    except UserError as error:
        raise invalid(str(error), param=f"{param}.audio", code="invalid_audio") from None
    return check_audible(Waveform(np.concatenate([head, microphone.finish()])), f"{param}.audio")


def _request(items: Sequence[Item], instructions: str | None) -> Request:
    """Items of one role in a row are one message: models were taught turns that alternate."""
    messages: list[Message] = [] if not instructions else [Message("system", (instructions,))]
    for item in items:
        content = tuple(part if isinstance(part, str) else Audio() for part in item.parts)
        if messages and item.role == messages[-1].role:
            messages[-1] = Message(item.role, (*messages[-1].content, *content))
        elif content:
            messages.append(Message(item.role, content))
    audios = tuple(part for item in items for part in item.parts if isinstance(part, Waveform))
    return Request(tuple(messages), audios)
