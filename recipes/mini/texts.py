"""Write the texts that the synthetic voices speak: `python recipes/mini/texts.py --data DIR`.

Makes DIR/texts.txt, a line `kind<TAB>text`, shuffled with a fixed seed: any prefix holds every kind in its share.
No text equals a test text, or holds one of four words or more, after normalisation.
"""

import argparse
import gzip
import json
import random
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from auricle.evaluate.datasets.debian_split import is_test, normalise
from grammar import NUMERIC, cardinal, expand
from packages import fetch
from prose import novels, people_and_places, wordnet_examples, wordnet_words
from telephone import NAMES, SLOTS, TELEPHONE

SEED = 20261122
SHARES = {"telephone": 0.25, "novel": 0.30, "wordnet": 0.25, "word": 0.08, "number": 0.07, "name": 0.05}
MIN_INNER_WORDS = 4  # a test text this long may not occur inside a training text either


def _spell_digits(text: str) -> str:
    return re.sub(r"\d+", lambda match: cardinal(int(match.group()[:9])), text)


def test_texts(data: Path, packages: Path) -> set[str]:
    """Normalised test texts: the packages' raw transcripts, and whatever manifests already lie in `data`."""
    raw: list[str] = []
    prompts = fetch("asterisk-core-sounds-en", packages) / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    for line in gzip.decompress(prompts.read_bytes()).decode("utf-8", "replace").splitlines():
        identity, colon, text = line.partition(":")
        if colon and not line.startswith(";") and is_test(identity.strip()):
            raw.append(text)
    librivox = fetch("pocketsphinx-testdata", packages) / "usr/share/pocketsphinx/test/data/librivox/transcription"
    raw += [re.sub(r"</?s>|\([^()]*\)\s*$", "", line) for line in librivox.read_text().splitlines()]
    for stamp in fetch("tuxpaint-stamps-default", packages).rglob("*.txt"):
        if is_test(stamp.stem):
            raw.append(stamp.read_text(encoding="utf-8", errors="replace").partition("\n")[0])
    for manifest in sorted(data.glob("*.jsonl")):
        for line in manifest.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row.get("split") == "test":
                raw.append(row["text"])
    return {normalise(form) for text in raw for form in (text, _spell_digits(text))} - {""}


def is_clean(text: str, tests: set[str], inner: list[str]) -> bool:
    """Whether a text may be trained on; `inner` holds the test texts of four words or more, padded by spaces."""
    form = normalise(text)
    return bool(form) and form not in tests and not any(test in f" {form} " for test in inner)


def draw(make: Callable[[], str], count: int) -> list[str]:
    """`count` distinct texts of at most 22 words from a generator that may repeat itself; fewer if it runs dry."""
    found: dict[str, str] = {}
    for _ in range(count * 20):
        text = make()
        if len(text.split()) <= 22:
            found.setdefault(normalise(text), text)
        if len(found) == count:
            break
    return list(found.values())


def collect(packages: Path, count: int) -> dict[str, list[str]]:
    """Twice the wanted number of candidates of each kind where there are so many, in a random order."""
    rng = random.Random(SEED)
    names = people_and_places(packages)
    want = {kind: int(share * count * 1.3) for kind, share in SHARES.items()}
    made: dict[str, Iterable[str]] = {
        "telephone": draw(lambda: expand(rng.choice(TELEPHONE), rng, SLOTS), want["telephone"]),
        "number": draw(lambda: expand(rng.choice(NUMERIC), rng, SLOTS), want["number"]),
        "name": draw(lambda: expand(rng.choice(NAMES), rng, names), want["name"]),
        "novel": novels(packages),
        "wordnet": wordnet_examples(packages),
        "word": wordnet_words(packages, limit=6000),
    }
    lists = {kind: list(dict.fromkeys(lines)) for kind, lines in made.items()}
    for lines in lists.values():
        rng.shuffle(lines)
    return lists


def write(data: Path, packages: Path, *, count: int) -> dict[str, int]:
    """Write DIR/texts.txt with about `count` lines; returns the number of lines of each kind."""
    tests = test_texts(data, packages)
    inner = [f" {test} " for test in tests if len(test.split()) >= MIN_INNER_WORDS]
    seen: set[str] = set()
    rows: list[tuple[str, str]] = []
    counts = dict.fromkeys(SHARES, 0)
    for kind, lines in collect(packages, count).items():
        for text in lines:
            form = normalise(text)
            if form in seen or counts[kind] >= SHARES[kind] * count or not is_clean(text, tests, inner):
                continue
            seen.add(form)
            counts[kind] += 1
            rows.append((kind, text))
    random.Random(SEED).shuffle(rows)
    data.mkdir(parents=True, exist_ok=True)
    (data / "texts.txt").write_text("".join(f"{kind}\t{text}\n" for kind, text in rows), encoding="utf-8")
    return counts


def main() -> None:
    """Write DIR/texts.txt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data folder; texts.txt is written here")
    parser.add_argument("--packages", type=Path, help="unpacked packages (default: dl beside the data folder)")
    parser.add_argument("--count", type=int, default=32_000, help="number of texts wanted")
    options = parser.parse_args()
    packages = (options.packages or options.data.parent / "dl").resolve()
    print(write(options.data, packages, count=options.count))


if __name__ == "__main__":
    main()
