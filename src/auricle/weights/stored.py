"""The parameters in a checkpoint's files, checked against what the model expects before any is unpacked."""

from dataclasses import dataclass
from pathlib import Path

import torch

from auricle.errors import UserError
from auricle.weights.json_file import read_json
from auricle.weights.names import from_nested
from auricle.weights.packed import Scheme, check_layout, unpack, unpacked_shape
from auricle.weights.tensors import read_tensors

HEAD, EMBEDDINGS = "language_model.lm_head.weight", "language_model.model.embed_tokens.weight"


@dataclass(frozen=True, slots=True)
class StoredState:
    """Memory-mapped tensors under the released names; a packed parameter is unpacked whenever it is read.

    tensors: as the files hold them.
    schemes: the packed parameters, and how.
    aliases: parameters that are another one, as a tied head is the embeddings.
    """

    directory: Path
    tensors: dict[str, torch.Tensor]
    schemes: dict[str, Scheme]
    aliases: dict[str, str]

    def names(self) -> set[str]:
        """Every parameter's name."""
        parts = {f"{name}.{part}" for name in self.schemes for part in ("codes", "scale", "offset")}
        return (self.tensors.keys() - parts) | self.schemes.keys() | self.aliases.keys()

    def shape(self, name: str) -> torch.Size:
        """The shape of a parameter, nothing read."""
        name = self.aliases.get(name, name)
        return unpacked_shape(self.tensors, name) if name in self.schemes else self.tensors[name].shape

    def dtype(self, name: str) -> torch.dtype:
        """What a plain parameter is stored as; bfloat16 for a packed one, whose 5 bits it holds with room to spare."""
        name = self.aliases.get(name, name)
        return torch.bfloat16 if name in self.schemes else self.tensors[name].dtype

    def read(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """A packed parameter in `dtype`; a plain one as it is stored."""
        name = self.aliases.get(name, name)
        return unpack(self.tensors, name, self.schemes[name], dtype) if name in self.schemes else self.tensors[name]

    def check(self, expected: dict[str, torch.Tensor]) -> None:
        """Raise UserError where a parameter is missing, unexpected or of another shape than `expected`."""
        names = self.names()
        problems = [f"missing {name}" for name in sorted(expected.keys() - names)]
        problems += [f"unexpected {name}" for name in sorted(names - expected.keys())]
        problems += [
            f"{name} has shape {tuple(self.shape(name))}, expected {tuple(expected[name].shape)}"
            for name in sorted(expected.keys() & names)
            if self.shape(name) != expected[name].shape
        ]
        if problems:
            more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise UserError(
                f"tensors in {self.directory} do not fit its config.json: {'; '.join(problems[:3])}{more}; "
                "fetch both from one place"
            )


def read_stored(directory: Path, *, tied_head: bool) -> StoredState:
    """The parameters of a directory, plain or quantised, in either spelling of their names.

    Raises:
        UserError: no or damaged weights, a quantised form we do not know, or a tied head that is not the embeddings.
    """
    tensors = {from_nested(name): tensor for name, tensor in read_tensors(directory).items()}
    layout = directory / "quantization.json"
    schemes = check_layout(read_json(layout), tensors) if layout.exists() else {}
    stored = StoredState(directory, tensors, schemes, {})
    return _tie(stored) if tied_head and EMBEDDINGS in stored.names() else stored


def _tie(stored: StoredState) -> StoredState:
    """The head of a tied model is its embedding table; a file may repeat it but not contradict it."""
    if HEAD in stored.names():
        head, embeddings = (stored.read(name, torch.float32) for name in (HEAD, EMBEDDINGS))
        if not torch.equal(head, embeddings):
            raise UserError(
                f"{stored.directory}: config.json ties the head to the embeddings but {HEAD} differs from "
                f"{EMBEDDINGS}; set text_config.tie_word_embeddings to false"
            )
    return StoredState(stored.directory, stored.tensors, stored.schemes, {HEAD: EMBEDDINGS})
