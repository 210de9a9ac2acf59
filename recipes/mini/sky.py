"""Beneath a Steel Sky (Debian, CD version 0.0372): every line of speech in `sky.dsk` with the text that belongs to it.

Knows the archive, its RNC packing and its Huffman-coded texts; knows nothing of manifests. Little endian throughout.
The code book of the texts is in no file of the game; it is found in the `scummvm` program, which plays it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = "usr/share/scummvm/beneath-a-steel-sky"
SPEECH_RATE_HZ = 11_025
_FIRST_SPEECH = 50_000
_FIRST_TEXTS = 60_600
_SPEECH_BASE = (0, 600, 1_100, 2_430, 3_380, 4_530, 5_080, 5_230)  # first recording of each of the eight sections
_HEADER_BYTES = 22
_RNC_HEADER_BYTES = 18
_TEXTS_PER_BLOCK = 32
_SAMPLE_SECTION = 2
_COMMON_WORDS = {"the", "to", "you", "a", "it", "of", "is", "in", "that", "for"}


@dataclass(frozen=True, slots=True)
class Line:
    """One recording (`50007`), its section of the game, its text, and int16 samples at `SPEECH_RATE_HZ`."""

    name: str
    speaker: str
    text: str
    samples: np.ndarray


class BitReader:
    """Bits from the low end of 16-bit words, with raw bytes in between the words, as RNC method 1 lays them out."""

    def __init__(self, raw: bytes, *, at: int) -> None:
        self.raw, self.at = raw, at
        self.held, self.num_held = 0, 0

    def peek(self) -> int:
        """The next 16 bits, without taking them."""
        word = int.from_bytes(self.raw[self.at : self.at + 2], "little")
        return (self.held | word << self.num_held) & 0xFFFF

    def take(self, num_bits: int) -> int:
        """Take up to 16 bits."""
        if num_bits > self.num_held:
            self.held |= int.from_bytes(self.raw[self.at : self.at + 2], "little") << self.num_held
            self.at += 2
            self.num_held += 16
        value = self.held & ((1 << num_bits) - 1)
        self.held >>= num_bits
        self.num_held -= num_bits
        return value

    def take_raw(self, num_bytes: int) -> bytes:
        """Take whole bytes that follow the words read so far."""
        self.at += num_bytes
        return self.raw[self.at - num_bytes : self.at]


def read_table(bits: BitReader) -> list[tuple[int, int, int]]:
    """Read a canonical Huffman table as (mask, code with its first bit lowest, length << 8 | value)."""
    lengths = [bits.take(4) for _ in range(bits.take(5))]
    table, code = [], 0
    for length in range(1, 17):
        for value, own_length in enumerate(lengths):
            if own_length == length:
                reversed_code = int(f"{code >> (16 - length):0{length}b}"[::-1], 2)
                table.append(((1 << length) - 1, reversed_code, length << 8 | value))
                code += 1 << (16 - length)
    return table


def read_value(bits: BitReader, table: list[tuple[int, int, int]]) -> int:
    """Read one number: a Huffman-coded bit count, then the bits below the leading one."""
    ahead = bits.peek()
    for mask, code, entry in table:
        if ahead & mask == code:
            bits.take(entry >> 8)
            num_bits = (entry & 0xFF) - 1
            return bits.take(num_bits) | 1 << num_bits if num_bits > 0 else entry & 0xFF
    raise ValueError(f"no code of {len(table)} begins the bits {ahead:016b}; the data are not RNC method 1")


def unpack(packed: bytes) -> bytes:
    """Unpack RNC method 1; bytes that are not packed are returned as they are."""
    if packed[:4] != b"RNC\x01":
        return packed
    bits = BitReader(packed, at=_RNC_HEADER_BYTES)
    bits.take(2)
    out = bytearray()
    for _ in range(packed[17]):
        raw_table, offset_table, length_table = read_table(bits), read_table(bits), read_table(bits)
        num_runs = bits.take(16)
        for run in range(num_runs):
            num_raw = read_value(bits, raw_table)
            if num_raw:
                out += bits.take_raw(num_raw)
            if run + 1 < num_runs:
                offset = read_value(bits, offset_table) + 1
                length = read_value(bits, length_table) + 2
                piece = out[-offset:] if offset <= length else out[-offset : len(out) - offset + length]
                out += (piece * (length // len(piece) + 1))[:length]
    return bytes(out)


class Archive:
    """`sky.dnr` (the table) and `sky.dsk` (the data); files are known by number."""

    def __init__(self, folder: Path) -> None:
        table, self._disk = (folder / "sky.dnr").read_bytes(), (folder / "sky.dsk").read_bytes()
        self._entries = {}
        for index in range(struct.unpack_from("<I", table)[0]):
            entry = table[4 + index * 8 : 12 + index * 8]
            offset, flags = int.from_bytes(entry[2:5], "little"), int.from_bytes(entry[5:8], "little")
            place = (offset & 0x7FFFFF) << (4 if offset >> 23 else 0)
            self._entries[int.from_bytes(entry[:2], "little")] = (place, flags & 0x3FFFFF, flags >> 22)

    def __contains__(self, number: int) -> bool:
        return number in self._entries

    def read(self, number: int) -> bytes:
        """Read and unpack one file; the two flag bits say `not packed` (2) and `drop the header` (1)."""
        place, size, flags = self._entries[number]
        raw = self._disk[place : place + size]
        if flags & 2 or not raw[0] & 0x80:
            return raw
        body = unpack(raw[_HEADER_BYTES:])
        return body if flags & 1 else raw[:_HEADER_BYTES] + body


def code_book(program: bytes, sample: bytes) -> dict[str, str]:
    """Find the code book of the texts (bits -> character) among the data of the `scummvm` program.

    It is a tree of three-byte nodes (left, right, character); leaves have no children and the root comes first. The
    program holds one for each release: the right one decodes the sample section to the most common English words.

    Raises:
        ValueError: if no tree decodes the sample.
    """
    data = np.frombuffer(program, np.uint8)
    starts = np.flatnonzero((data[:-2] == 1) & (data[1:-1] > 1) & (data[2:] == 0))
    best, most = {}, 0
    for start in starts.tolist():
        book = _walk(program, start)
        if book:
            words = [word for index in range(320) for word in decode_text(sample, index, book=book).split()]
            num_common = sum(word in _COMMON_WORDS for word in words)
            if num_common > most:
                best, most = book, num_common
    if not best:
        raise ValueError(f"none of {starts.size} places in the program holds a tree that decodes the game's texts")
    return best


def _walk(program: bytes, start: int) -> dict[str, str]:
    """Read one tree as bits -> character; empty if what starts there is no tree with exactly one terminator."""
    book, seen, todo = {}, set(), [(0, "")]
    while todo:
        node, bits = todo.pop()
        left, right, character = program[start + 3 * node : start + 3 * node + 3].ljust(3, b"\1")
        if node in seen or len(bits) > 24 or (left == 0) != (right == 0) or (left and character):
            return {}
        seen.add(node)
        if left:
            todo += [(left, bits + "0"), (right, bits + "1")]
        else:
            book[bits] = chr(character)
    good = list(book.values()).count("\0") == 1 and len(book) > 40 and len(seen) == max(seen) + 1
    return book if good else {}


def decode_text(section: bytes, index: int, *, book: dict[str, str]) -> str:
    """Decode text number `index` of a section; a text ends at the terminator.

    A section starts with the places of a table of bytes and of the texts; then the length of every 32 texts. Lengths
    count pairs of bits, a byte above 127 counts eights of them.
    """
    table_at, texts_at = struct.unpack_from("<2H", section)
    block, within = divmod(index, _TEXTS_PER_BLOCK)
    offset = sum(struct.unpack_from(f"<{block}H", section, 4))
    for skip in section[table_at + block * _TEXTS_PER_BLOCK :][:within]:
        offset += (skip & 0x7F) << 3 if skip & 0x80 else skip
    raw = section[texts_at + offset // 4 : texts_at + offset // 4 + 400]
    stream = f"{int.from_bytes(raw, 'big'):0{len(raw) * 8}b}"[offset % 4 * 2 :]
    text, code = [], ""
    for bit in stream:
        code += bit
        if code in book:
            if book[code] == "\0":
                break
            text.append(book[code])
            code = ""
    return "".join(text)


def read_lines(folder: Path, program: Path) -> Iterator[Line]:
    """Yield every recording that has a text.

    Args:
        folder: where `sky.dnr` and `sky.dsk` lie.
        program: the `scummvm` executable.
    """
    archive = Archive(folder)
    book = code_book(program.read_bytes(), archive.read(_FIRST_TEXTS + _SAMPLE_SECTION))
    for section, base in enumerate(_SPEECH_BASE):
        texts = archive.read(_FIRST_TEXTS + section)
        end = _SPEECH_BASE[section + 1] if section + 1 < len(_SPEECH_BASE) else base + 1_000
        for number in range(_FIRST_SPEECH + base, _FIRST_SPEECH + end):
            if number in archive:
                raw = archive.read(number)
                samples = (np.frombuffer(raw, np.uint8, offset=_HEADER_BYTES).astype(np.int16) - 128) * 256
                text = decode_text(texts, number - _FIRST_SPEECH - base, book=book)
                yield Line(str(number), f"sky-section{section}", text, samples)
