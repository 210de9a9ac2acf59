"""Reads a page with html.parser: its tables, cards and whatever would reach for the network."""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


class Element:
    """One element; `text` is what it says, folded to single spaces."""

    def __init__(self, tag: str, attributes: dict[str, str], parent: "Element | None") -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[Element | str] = []

    def all(self, tag: str, **wanted: str) -> list["Element"]:
        """Every element below with a tag, and with these attributes (a class: one of its words)."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                words = {key.rstrip("_").replace("_", "-"): value for key, value in wanted.items()}
                if child.tag == tag and all(
                    value in child.attributes.get(key, "").split() for key, value in words.items()
                ):
                    found.append(child)
                found += child.all(tag, **wanted)
        return found

    @property
    def text(self) -> str:
        return " ".join("".join(self._pieces()).split())

    def _pieces(self) -> list[str]:
        pieces: list[str] = []
        for child in self.children:
            pieces += [child] if isinstance(child, str) else child._pieces()
        return (
            [*pieces, " "] if self.tag in {"td", "th", "strong", "small", "del", "ins", "span", "dd", "dt"} else pieces
        )

    def within(self, mode: str) -> bool:
        """Whether it is shown in a mode only."""
        return self.attributes.get("data-in-mode") == mode or (self.parent is not None and self.parent.within(mode))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.at = Element("root", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs}, self.at)
        self.at.children.append(element)
        if tag not in VOID:
            self.at = element

    def handle_endtag(self, tag: str) -> None:
        assert self.at.tag == tag, f"</{tag}> closes <{self.at.tag}> at {self.getpos()}"
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.children.append(data)


def read_page(text: str) -> Element:
    """The page as a tree.

    Raises:
        AssertionError: elements do not nest.
    """
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.at is reader.root, f"<{reader.at.tag}> is never closed"
    return reader.root
