"""Tables with a header as publishers ship them: fields by the names of their columns."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from auricle.data.reading import read_bytes, text_of
from auricle.errors import UserError


def csv_rows(path: Path, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a table with commas, fields in quotes where they hold one.

    Args:
        path: the table.
        needed: columns that must be there; others may.

    Raises:
        UserError: it cannot be read, is not UTF-8, a column is absent, or a row has more or fewer fields.
    """
    return _rows(csv.DictReader(_lines(path)), path, needed)


def tsv_rows(path: Path, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    """The same with tabs, no quotes, and a backslash before what would end a field, as CoVoST writes its tables."""
    return _rows(csv.DictReader(_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\"), path, needed)


def _lines(path: Path) -> io.StringIO:
    return io.StringIO(text_of(read_bytes(path), str(path)), newline="")


def _rows(reader: "csv.DictReader[str]", path: Path, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    absent = [name for name in needed if name not in (reader.fieldnames or ())]
    if absent:
        raise UserError(f"{path} lacks the column {', '.join(absent)}; expected a header with {', '.join(needed)}")
    for row in reader:
        if None in row or None in row.values():
            raise UserError(
                f"{path}:{reader.line_num} has not as many fields as its header; unpack or download it again"
            )
        yield row
