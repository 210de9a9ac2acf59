"""What all browser sessions together may keep of their conversations."""

from collections import OrderedDict

from auricle.serve.page.conversation import Conversation

MOST_BYTES = 2**30  # of sound: nearly five hours


class Memory:
    """The latest conversation of each session; those that were not continued for longest are forgotten first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Conversation] = OrderedDict()

    def keep(self, session: str, conversation: Conversation) -> None:
        """Instead of what the session said before; others may have to go."""
        self.leave(session)
        self._kept[session] = conversation
        num_bytes = sum(kept.num_bytes for kept in self._kept.values())
        while num_bytes > self._most_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            num_bytes -= oldest.num_bytes
            oldest.forget()

    def leave(self, session: str) -> None:
        """It is over."""
        self._kept.pop(session, None)
