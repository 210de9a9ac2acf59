"""What a model and a recording are: sha256 over the bytes of their files, remembered from run to run."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from auricle.content_cache import ContentCache
from auricle.data.parallel import in_order
from auricle.errors import UserError

_DECIDING = ("*.safetensors", "*.json", "*.jinja", "merges.txt", "*.model", "model.bin", "vocabulary.*")
"""The files of a model's directory that decide its answers: weights, config, tokenizer, template, quantization.json."""


def hashes_home() -> Path:
    """`$XDG_CACHE_HOME/auricle/hashes.sqlite`; `~/.cache` unless set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "auricle" / "hashes.sqlite"


class FileHashes:
    """sha256 of files' contents. A file with the path, size and times of change of an earlier one is not read again.

    Args:
        path: where they are remembered.
    """

    def __init__(self, path: Path | None = None) -> None:
        path = path or hashes_home()
        try:
            self._cache = ContentCache(path)
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror}; set XDG_CACHE_HOME to a folder that can be written"
            ) from error

    def of(self, paths: Sequence[Path], watch: Callable[[int], None] = lambda done: None) -> list[str | UserError]:
        """A hex digest each, in their order; the sentence of one that cannot be read stands in its place.

        Args:
            paths: of files; read in parallel.
            watch: told how many are done.
        """
        facts = [_facts(path) for path in paths]
        known = self._cache.get(fact for fact in facts if isinstance(fact, str))
        missing = [place for place, fact in enumerate(facts) if isinstance(fact, str) and fact not in known]
        found: list[str | UserError] = [known.get(fact, "") if isinstance(fact, str) else fact for fact in facts]
        fresh: dict[str, str] = {}
        try:
            for num, digest in enumerate(in_order(lambda index: _digest(paths[missing[index]]), len(missing))):
                place, fact = missing[num], facts[missing[num]]
                found[place] = digest
                if isinstance(digest, str) and isinstance(fact, str) and _facts(paths[place]) == fact:
                    fresh[fact] = digest  # nobody wrote the file meanwhile
                watch(len(paths) - len(missing) + num + 1)
        finally:
            self._cache.put(fresh)
        return found

    def close(self) -> None:
        """Let go of what is remembered."""
        self._cache.close()


def model_hash(directory: Path, hashes: FileHashes, watch: Callable[[int], None] = lambda done: None) -> str:
    """sha256 over the contents of all files of a checkpoint directory that decide answers; its path is no part of it.

    Raises:
        UserError: one of them cannot be read, or there is none.
    """
    paths = sorted({path for pattern in _DECIDING for path in directory.glob(pattern) if path.is_file()})
    if not paths:
        raise UserError(f"{directory} holds no model: expected config.json and weights; name a checkpoint directory")
    digest = hashlib.sha256()
    for path, found in zip(paths, hashes.of(paths, watch), strict=True):
        if isinstance(found, UserError):
            raise found
        digest.update(f"{path.name}\0{found}\n".encode())
    return digest.hexdigest()


def _facts(path: Path) -> str | UserError:
    """What changes with a file's contents: path, size, and the times when its contents and its entry changed."""
    try:
        stat = path.stat()
    except OSError as error:
        return _cannot_read(path, error)
    facts = (str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _digest(path: Path) -> str | UserError:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return _cannot_read(path, error)


def _cannot_read(path: Path, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"no such file: {path}; check the path")
    return UserError(f"cannot read {path}: {error.strerror}; check the path")
