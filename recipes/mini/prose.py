"""Read written English out of Debian packages: novels, WordNet's examples and words, names of people and places.

Gives clean lines that can be spoken as they stand; knows nothing of the test set, of shares or of voices.
"""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from grammar import words
from packages import fetch

GO = "usr/share/gocode/src/github.com"
BOOKS = [  # package, path: plain text of public-domain novels that ship as test data
    ("golang-github-jdkato-prose-dev", f"{GO}/jdkato/prose/testdata/sherlock.txt"),
    ("golang-github-colinmarc-hdfs-dev", f"{GO}/colinmarc/hdfs/testdata/mobydick.txt"),
    ("golang-github-golang-snappy-dev", f"{GO}/golang/snappy/testdata/Mark.Twain-Tom.Sawyer.txt"),
]
AUSTEN = "r-cran-janeaustenr", "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
FORBIDDEN_BOOK = "SENSE AND SENSIBILITY"  # the audiobook test reader reads its first chapter: no line of it is used
SPEAKABLE = re.compile(r"[A-Za-z][A-Za-z ,.'!?;:-]*")
BAD_MARKS = re.compile(r"[A-Z]{2}|[,.;:!?'-]{2}| [,.;:!?'-]")
STRAY_LETTER = re.compile(r"\b(?![AaIO]\b)[A-Za-z]\b(?!')")
CONTRACTED = re.compile(r"[A-Za-z ,.!?;:-]*(?:n't|'[a-z]{1,2}\b)[A-Za-z ,.'!?;:-]*")  # its t or s is not stray
ABBREVIATIONS = re.compile(r"\b(Mr|Mrs|Dr|St|Messrs|Capt|Col|Rev|Esq|No|Hon)\.")
FIRST_WORDS = set(words("I he she they we it you there this that these those who what how why when where don't do"))
FINITE = set(words("is are was were am has have had will would can could may might must do does did shall should"))


def is_speakable(line: str) -> bool:
    """Letters and plain punctuation only; no capitals in a row, no repeated marks, no stray single letters."""
    if BAD_MARKS.search(line):
        return False
    return bool(SPEAKABLE.fullmatch(line) and not STRAY_LETTER.search(line)) or bool(CONTRACTED.fullmatch(line))


def finish(line: str) -> str:
    """Capital first, a full stop last: a clause as one would write it when it is heard alone."""
    line = line.strip(" ,;:-")
    if line and line[-1] not in ".!?":
        line += "."
    return line[:1].upper() + line[1:]


def sentences(text: str, *, low: int, high: int) -> Iterator[str]:
    """Sentences, and the clauses of long ones, of `low` to `high` words, in the text's order."""
    text = text.replace("\u2019", "'").replace("\u2018", "'").replace("_", "").replace("\r", "")
    for paragraph in re.split(r"\n\s*\n", text):
        flat = ABBREVIATIONS.sub("\\1\0", " ".join(paragraph.split()))
        for sentence in re.split(r"(?<=[.!?])[\"']?\s+(?=[\"'A-Z])|[\"\u201c\u201d()]|--|\u2014", flat):
            is_long = len(sentence.split()) > high
            pieces = re.split(r"[;:] |, (?=and|but|for|or|so|when)", sentence) if is_long else [sentence]
            for piece in pieces:
                line = finish(piece.replace("\0", ".").strip(" '"))
                if low <= len(line.split()) <= high and is_speakable(line):
                    yield line


def _r_strings(path: Path) -> list[str]:
    """Every string of the character vectors in an R lazy-load database (serialised, zlib, one block a vector)."""
    data, found, at = path.read_bytes(), [], 0
    while at + 4 < len(data):
        inflater = zlib.decompressobj()
        start = data.find(b"\x78", at)
        if start < 0:
            break
        try:
            block = inflater.decompress(data[start:])
        except zlib.error:
            at = start + 1
            continue
        at = len(data) - len(inflater.unused_data)
        # A CHARSXP is: flags (type 9 in the low byte), length, bytes, all big endian.
        position = block.find(b"\x00\x04\x00\x09")
        while 0 <= position < len(block) - 8 and block[position + 3] == 9:
            size = int.from_bytes(block[position + 4 : position + 8], "big")
            found.append(block[position + 8 : position + 8 + size].decode("utf-8", "replace"))
            position += 8 + size
    return found


def novels(packages: Path) -> Iterator[str]:
    """Sentences and clauses of 4 to 16 words from public-domain novels, Sense and Sensibility left out."""
    for package, path in BOOKS:
        text = (fetch(package, packages) / path).read_text(encoding="utf-8", errors="replace")
        yield from sentences(text[2000:-20000] if len(text) > 100_000 else text, low=4, high=16)
    book: list[str] = []
    texts: list[list[str]] = []
    for line in _r_strings(fetch(AUSTEN[0], packages) / AUSTEN[1]):
        if re.fullmatch(r"[A-Z &]{4,}", line) and line in (
            "SENSE AND SENSIBILITY", "PRIDE AND PREJUDICE", "MANSFIELD PARK", "EMMA", "NORTHANGER ABBEY", "PERSUASION"
        ):  # fmt: skip
            book = []
            texts.append(book)
        book.append(line)
    for lines in texts:
        if lines[0] != FORBIDDEN_BOOK:
            yield from sentences("\n".join(lines), low=4, high=16)


def wordnet_examples(packages: Path) -> Iterator[str]:
    """WordNet's quoted examples: sentences with their full stop, phrases without."""
    folder = fetch("wordnet-base", packages) / "usr/share/wordnet"
    for part in ("verb", "noun", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="latin-1").splitlines():
            if line.startswith("  ") or " | " not in line:
                continue
            for example in re.findall(r'"([^"]+)"', line.split(" | ", 1)[1]):
                words = example.strip(" ;,").split()
                if not 2 <= len(words) <= 16:
                    continue
                whole = words[0] in FIRST_WORDS or words[0][0].isupper() or part == "verb" or FINITE & set(words)
                text = finish(" ".join(words)) if whole else finish(" ".join(words)).rstrip(".")
                if is_speakable(text):
                    yield text


def wordnet_words(packages: Path, *, limit: int) -> list[str]:
    """The words and short phrases most often tagged in WordNet's texts, capital first, no full stop."""
    counts: Counter[str] = Counter()
    folder = fetch("wordnet-base", packages) / "usr/share/wordnet"
    for line in (folder / "cntlist.rev").read_text(encoding="latin-1").splitlines():
        key, _, count = line.split()
        lemma = key.split("%")[0].replace("_", " ")
        if re.fullmatch(r"[a-z][a-z -]+", lemma) and len(lemma.split()) <= 3:
            counts[lemma] += int(count)
    return [word[:1].upper() + word[1:] for word, _ in counts.most_common(limit)]


def _gz_lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode("utf-8", "replace").splitlines()


def people_and_places(packages: Path) -> dict[str, list[str]]:
    """Slots `first`, `city` and `country` for the grammar, from the Debian package miscfiles."""
    root = fetch("miscfiles", packages) / "usr/share"
    plain = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z]+)?")
    rows = [line.split(":") for line in _gz_lines(root / "misc/countries.gz") if line.count(":") >= 4]
    entries = _gz_lines(root / "misc/cities.dat.gz")
    cities = [line.split(":", 1)[1].strip() for line in entries if line.startswith("Name")]
    return {
        "first": [name for name in _gz_lines(root / "dict/propernames.gz") if plain.fullmatch(name)],
        "city": sorted({name for name in [*cities, *(row[4] for row in rows)] if plain.fullmatch(name)}),
        "country": [row[3] for row in rows if plain.fullmatch(row[3])],
    }
