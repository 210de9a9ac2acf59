"""What a benchmark run is asked to do."""

from dataclasses import dataclass
from pathlib import Path

from auricle.errors import UserError

NAMES = ("mel", "encoder", "first-token", "decode", "clips", "memory", "start")


@dataclass(frozen=True, slots=True)
class Settings:
    """model: `mini`, a directory or a hub id. clips: files and directories; none is synthetic recordings.

    num_clips: so many recordings at most. num_tokens: written for each of them, whatever ends an answer.
    batch_sizes: tried for each side. only: names out of NAMES, of which start is
    import and load; none is all.
    """

    model: str = "mini"
    clips: tuple[Path, ...] = ()
    rounds: int = 5
    num_clips: int = 64
    num_tokens: int = 12
    batch_sizes: tuple[int, ...] = (4, 8, 16, 32, 64)
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rounds", "num_clips", "num_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1: got {getattr(self, name)}; raise it")
        if not self.batch_sizes or min(self.batch_sizes) < 1:
            raise UserError(
                f"batch_sizes must name at least one size, each 1 or more: got {self.batch_sizes}; give such as 8,16"
            )
        for name in self.only:
            if name not in NAMES:
                raise UserError(f"unknown measurement {name!r}: expected some of {', '.join(NAMES)}")

    def wants(self, name: str) -> bool:
        """Is this measurement asked for?"""
        return not self.only or name in self.only


def check_place(path: Path, *endings: str) -> None:
    """Refuse, before anything is measured, a file that could not be written at the end.

    Raises:
        UserError: its folder does not exist, it is a folder itself, or it has none of the endings asked for.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"cannot write {path}: expected a file's name in a folder that exists; make the folder first")
    if endings and path.suffix not in endings:
        raise UserError(f"cannot draw {path}: expected a name that ends in {' or '.join(endings)}; name it so")


def parse_sizes(text: str) -> tuple[int, ...]:
    """`4,8` -> (4, 8).

    Raises:
        UserError: not whole numbers with commas between them.
    """
    try:
        return tuple(int(size) for size in text.split(","))
    except ValueError as error:
        raise UserError(f"batch sizes {text!r}: expected whole numbers such as 4,8,16") from error
