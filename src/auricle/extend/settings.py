"""What is put beside or in the place of a finished model's layers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """Adapters beside frozen weights, through peft.

    targets: a regular expression over module names. quantised_bits: None, or the bits that the frozen decoder is held
    in (8 a row, fewer a group of 64 columns).
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: str = r"language_model\.model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj"
    quantised_bits: int | None = None
