"""Training data: manifests to records, records to examples, examples to packs."""

from auricle.data.pack import Label, Pack, make_pack
from auricle.data.records import Dialogue, Example, Group, Labelled, Preference, Record, Recording

__all__ = [
    "Dialogue",
    "Example",
    "Group",
    "Label",
    "Labelled",
    "Pack",
    "Preference",
    "Record",
    "Recording",
    "make_pack",
]
