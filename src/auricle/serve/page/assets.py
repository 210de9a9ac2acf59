"""The page's own files: markup, style, scripts, icon."""

from importlib.resources import files
from pathlib import Path


def asset(name: str) -> bytes:
    """One file of auricle/assets/page."""
    return (files("auricle") / "assets" / "page" / name).read_bytes()


def asset_path(name: str) -> Path:
    """Where it lies."""
    return Path(str(files("auricle") / "assets" / "page" / name))
