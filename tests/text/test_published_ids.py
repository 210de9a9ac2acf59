"""The published vocabulary: the golden ids of a published conversation, and our encoding against byte-pair merging
by ranks, done naively.

The ranks of Qwen's vocabulary ship in the package dashscope (Apache-2.0). The slow tier fetches its wheel and takes
that one file out; installing the package would bring two dozen others. `published_ranks.json` is the part of them that
the golden conversation can touch: every entry that occurs in its text.
"""

import base64
import json
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import pytest
import regex
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle.conversation import Audio, Message
from auricle.prepare import render
from auricle.text import Tokenizer

Ranks = dict[bytes, int]

NUM_RANKS = 151_643
SPECIAL = {
    "<|endoftext|>": 151643,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "<|AUDIO|>": 151646,
    "<|audio_bos|>": 151647,
    "<|audio_eos|>": 151648,
}
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# transformers' own test of the released model: a glass breaks for 101 audio tokens, "What's that sound?"
GOLDEN = (
    *(151644, 8948, 198, 2610, 525, 264, 10950, 17847, 13, 151645, 198),
    *(151644, 872, 198, 14755, 220, 16, 25, 220, 151647, *[151646] * 101, 151648),
    *(198, 3838, 594, 429, 5112, 30, 151645, 198, 151644, 77091, 198),
)
GOLDEN_TEXTS = (
    "system\nYou are a helpful assistant.",
    "\n",
    "user\nAudio 1: ",
    "\nWhat's that sound?",
    "assistant\n",
)
TEXTS = (
    "The quick brown fox jumps over the lazy dog; it's 1984, isn't it? I'LL SAY!",
    "def visit(node: Node) -> None:\n    for child in node.children:\n\t\tvisit(child)  # deep\r\n",
    "今天天气很好，我们去公园散步吧。「你好」——他说：１２３。",
    "  \n\n \t x\u00a0\u3000y   \n  ",
    "3.14159265358979, 1e-5, 0xFFEE, 12/11/2024",
    "👩‍👩‍👧 🇫🇷 ❤️ e\u0301 \u1112\u1161\u11ab Ångström ﬁ ＡＢＣ \u212b",
    "Привет, мир! ¿Qué tal? Grüße, naïve café. مرحبا. สวัสดี",
    "<|im_end|><|en|> [[[AUDIO:modality]]]",
    "\x00\x7f\ufffd\ufeff\U0010ffff",
)


@pytest.fixture(scope="session")
def few_ranks() -> Ranks:
    """What the golden text needs."""
    entries = json.loads((Path(__file__).parent / "published_ranks.json").read_text(encoding="utf-8"))
    return {text.encode(): rank for text, rank in entries.items()}


@pytest.fixture(scope="session")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    """All ranks, from the package index."""
    directory = tmp_path_factory.mktemp("dashscope")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "dashscope==2.0.2"]
    subprocess.run([*pip, "--dest", str(directory)], check=True)
    [wheel] = directory.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read("dashscope/resources/qwen.tiktoken").splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}


@pytest.fixture(scope="session")
def published(ranks: Ranks) -> Tokenizer:
    return Tokenizer(tokenizer_json(ranks))


def merged(ranks: Ranks, piece: bytes, *, below: int = NUM_RANKS) -> list[bytes]:
    """Byte-pair merging: always the leftmost pair of the lowest rank, until no pair is an entry ranked `below`."""
    parts = [piece[i : i + 1] for i in range(len(piece))]
    while len(parts) > 1:
        pairs = [ranks.get(parts[i] + parts[i + 1], NUM_RANKS) for i in range(len(parts) - 1)]
        best = min(pairs)
        if best >= below:
            break
        i = pairs.index(best)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


def oracle(ranks: Ranks, text: str) -> list[int]:
    pieces = regex.findall(SPLIT, unicodedata.normalize("NFC", text))
    return [ranks[part] for piece in pieces for part in merged(ranks, piece.encode())]


def tokenizer_json(ranks: Ranks) -> str:
    """Qwen2's tokenizer.json: the merge that makes an entry is the last one before it, by lower ranks alone."""
    letters = byte_letters()

    def spelled(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    merges = []
    for token, rank in ranks.items():
        if len(token) > 1:
            parts = merged(ranks, token, below=rank)
            assert len(parts) == 2, token
            merges.append([spelled(part) for part in parts])
    vocabulary = {spelled(token): rank for token, rank in ranks.items()}
    if len(ranks) < NUM_RANKS:
        vocabulary |= SPECIAL  # else the library would number them after the last entry there is
    split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    marks = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    contents = {
        "version": "1.0",
        "added_tokens": [{"id": token_id, "content": token} | marks for token, token_id in SPECIAL.items()],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }
    return json.dumps(contents)


def byte_letters() -> list[str]:
    """The letter of each byte in a byte-level vocabulary: a printable one is its own, the others count on from 256."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def golden_prompt(tokenizer: Tokenizer) -> tuple[int, ...]:
    return render([Message("user", (Audio(), "What's that sound?"))], [101], tokenizer, open_turn=True).ids


def test_the_golden_conversation_has_its_published_ids(few_ranks: Ranks):
    tokenizer = Tokenizer(tokenizer_json(few_ranks))
    assert golden_prompt(tokenizer) == GOLDEN
    assert [token_id for text in GOLDEN_TEXTS for token_id in tokenizer.encode(text)] == [
        token_id for text in GOLDEN_TEXTS for token_id in oracle(few_ranks, text)
    ]


def test_letters_are_those_of_the_library():
    assert sorted(byte_letters()) == sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())


@pytest.mark.slow
def test_the_golden_conversation_with_the_whole_vocabulary(published: Tokenizer, ranks: Ranks, few_ranks: Ranks):
    assert golden_prompt(published) == GOLDEN
    assert sorted(ranks.values()) == list(range(NUM_RANKS))
    pieces = {piece.encode() for text in GOLDEN_TEXTS for piece in regex.findall(SPLIT, text)}
    assert few_ranks == {token: rank for token, rank in ranks.items() if any(token in piece for piece in pieces)}


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS)
def test_varied_texts_equal_the_oracle(published: Tokenizer, ranks: Ranks, text: str):
    assert published.encode(text) == oracle(ranks, text)
    assert published.decode(published.encode(text)) == unicodedata.normalize("NFC", text)


words = st.sampled_from([word for text in TEXTS for word in text.split()] + [" ", "  ", "\n", "\t", "'s"])


@pytest.mark.slow
@settings(max_examples=500)
@given(text=st.text() | st.lists(words | st.text(max_size=3), max_size=12).map("".join))
def test_any_text_equals_the_oracle(published: Tokenizer, ranks: Ranks, text: str):
    assert published.encode(text) == oracle(ranks, text)


@pytest.mark.slow
def test_the_order_of_the_ranks_shows(published: Tokenizer, ranks: Ranks):
    """Negative control: the same entries merged in the opposite order cut texts elsewhere."""
    other = {token: NUM_RANKS - 1 - rank for token, rank in ranks.items()}
    for text in TEXTS[:3]:
        ids = [NUM_RANKS - 1 - token_id for token_id in oracle(other, text)]
        assert ids != published.encode(text), text
