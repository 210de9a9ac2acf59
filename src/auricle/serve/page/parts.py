"""Small pieces of the page's HTML."""

import html
from typing import TypedDict


class Said(TypedDict):
    """One line of a chat window."""

    role: str
    content: str


def tell(message: str, *, alarm: bool = False) -> str:
    """A line that says what goes on; errors stand out."""
    kind = "alarm" if alarm else "calm"
    return f'<p class="{kind}">{html.escape(message)}</p>'
