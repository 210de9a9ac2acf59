"""`file:` addresses, inside one directory and nowhere else."""

import os
import stat
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from auricle.serve.sound.media_errors import PARAM, shown, too_large
from auricle.serve.wire.errors import ApiError


def open_allowed(url: str, directory: Path, most_bytes: int) -> BinaryIO:
    """The regular file that a `file:` address names, where it lies inside the directory, all links followed.

    Raises:
        ApiError: 400, there is no such file, with the same sentence for one outside; 413, it is too large.
    """
    refused = ApiError(
        400,
        f"audio_url {shown(url)}: no such file in the directory of --allow-local-media; check the path",
        param=PARAM,
    )
    try:
        parts = urlsplit(url)
        path = Path(unquote(parts.path, errors="strict"))
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not path.is_absolute():
            raise refused
        root = directory.resolve(strict=True)
        descriptor = _open_below(root, path.resolve(strict=True).relative_to(root).parts)
    except (OSError, ValueError, RuntimeError):  # ValueError: outside, or no path; RuntimeError: links in a circle
        raise refused from None
    state = os.fstat(descriptor)
    if stat.S_ISREG(state.st_mode) and state.st_size <= most_bytes:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise too_large(most_bytes) if stat.S_ISREG(state.st_mode) else refused


def _open_below(root: Path, names: tuple[str, ...]) -> int:
    """Open step by step, following no link: one that is put there since the path was resolved leads nowhere."""
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for number, name in enumerate(names, 1):
        kind = os.O_NONBLOCK if number == len(names) else os.O_DIRECTORY  # nonblocking: a pipe has no other end
        try:
            below = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=at)
        finally:
            os.close(at)
        at = below
    return at
