"""Files that are there whole, or as they were before, whenever the process is killed."""

from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place, then move it there: a reader finds the old content or the new, never a part.

    Args:
        path: in a folder that is there.
        content: text is written as UTF-8.

    Raises:
        OSError: it cannot be written; nothing is left beside it.
    """
    scratch = path.with_name(f".{path.name}.new")
    try:
        scratch.write_bytes(content.encode() if isinstance(content, str) else content)
        scratch.replace(path)
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
