"""What must not be learnt: test texts, ids and speakers, compared in a normalised form."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from auricle.data.complexity import num_words
from auricle.data.manifest import open_records
from auricle.data.records import Labelled, Preference, Record
from auricle.data.review import read_list
from auricle.data.tasks import task_named

_MIN_ANSWER_WORDS = 3  # a shorter answer in a conversation, such as a label, is no test text


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Normalised texts, and names: ids and speakers."""

    texts: frozenset[str]
    names: frozenset[str]

    def objection(self, record: Record) -> str | None:
        """A phrase that says what the record shares with the test data, or None."""
        speaker = record.speaker if isinstance(record, Labelled) else None
        if normalise(record.id) in self.names:
            return f"test data: the id {record.id}"
        if speaker is not None and normalise(speaker) in self.names:
            return f"test data: the speaker {speaker}"
        text = next((text for text in texts_of(record) if normalise(text) in self.texts), None)
        return None if text is None else f"test data: the text {text!r}"


def read_forbidden(paths: Sequence[Path]) -> Forbidden:
    """Lists and manifests of test data.

    A file `.jsonl` is a manifest: the texts and ids of its records are forbidden, its speakers are not. In any other
    file each line is a text, an id or a speaker.

    Raises:
        UserError: a file cannot be read, or a line of a manifest is wrong.
    """
    texts: set[str] = set()
    names: set[str] = set()
    for path in paths:
        if path.suffix == ".jsonl":
            for record in open_records(path):
                texts.update(normalise(text) for text in texts_of(record))
                names.add(normalise(record.id))
        else:
            lines = {normalise(line) for line in read_list(path)}
            texts |= lines
            names |= lines
    return Forbidden(frozenset(texts - {""}), frozenset(names - {""}))


def texts_of(record: Record) -> Iterator[str]:
    """What the record teaches to say: an open task's target, and answers of three words or more.

    The target of a closed task is a label, which test data share with training data rightly.
    """
    if isinstance(record, Labelled):
        if not task_named(record.task).closed:
            yield record.target
        return
    answers = ["".join(p for p in m.content if isinstance(p, str)) for m in record.messages if m.role == "assistant"]
    if isinstance(record, Preference):
        answers += [record.chosen, record.rejected]
    yield from (answer for answer in answers if num_words(answer) >= _MIN_ANSWER_WORDS)


def normalise(text: str) -> str:
    """The form in which texts are compared: case, punctuation, the encoding of accents and spacing do not count."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("'", "").replace("’", "")
    return " ".join(re.sub(r"[^\w]+|_", " ", text).split())
