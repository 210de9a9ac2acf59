"""A directory that is there whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auricle.errors import UserError


def refuse_filled(out: Path) -> None:
    """Raise UserError where `out` is a file, or a directory that holds something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty; name a new directory, or remove it first")


@contextmanager
def new_directory(out: Path, *, num_bytes: int) -> Iterator[Path]:
    """A hidden folder beside `out` to write into, which becomes `out` where nothing went wrong.

    Args:
        out: what is there in the end.
        num_bytes: about what will be written.

    Raises:
        UserError: `out` is a file or holds something, cannot be made, or there is no space for it.
    """
    refuse_filled(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; name another directory") from error
    try:
        free = shutil.disk_usage(scratch).free
        if free < num_bytes:
            raise UserError(f"{out} needs {num_bytes / 1e9:.1f} GB but its disk has {free / 1e9:.1f}; free some")
        folder = Path(scratch) / out.name  # made with the usual permissions, which mkdtemp's has not
        folder.mkdir()
        yield folder
        if out.exists():
            out.rmdir()
        folder.rename(out)
    finally:
        shutil.rmtree(scratch)
