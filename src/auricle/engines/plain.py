"""A checkpoint that other libraries can read: as it is, or exported once into a cache."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import torch

from auricle.weights import export_checkpoint, read_config

_READ_BY_OTHERS = ("preprocessor_config.json", "tokenizer_config.json")


def plain_directory(directory: Path, *, dtype: torch.dtype) -> Path:
    """`directory` itself where transformers and vLLM can read it, else an export of it.

    A quantised or a tied checkpoint, or one without the processor's files, is exported to
    `$XDG_CACHE_HOME/auricle/exports` (`~/.cache` unless set). The name holds a fingerprint of the files: a changed
    checkpoint is exported anew.
    """
    quantised, tied = (directory / "quantization.json").exists(), read_config(directory).text.tied_head
    if not quantised and not tied and all((directory / name).exists() for name in _READ_BY_OTHERS):
        return directory
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "auricle" / "exports"
    out = cache / f"{directory.resolve().name}-{_fingerprint(directory, dtype)}"
    if not out.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            export_checkpoint(directory, Path(scratch) / out.name, dtype=dtype)
            _move(Path(scratch) / out.name, out)
    return out


def _move(made: Path, out: Path) -> None:
    """At once; what another process has put there meanwhile is as good."""
    try:
        made.rename(out)
    except OSError:
        if not out.exists():
            raise
        shutil.rmtree(made)


def _fingerprint(directory: Path, dtype: torch.dtype) -> str:
    """Of every file's name, size and time of change."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    facts = [(str(path.relative_to(directory)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr((str(dtype), str(directory.resolve()), facts)).encode()).hexdigest()[:16]
