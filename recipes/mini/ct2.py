"""Read a CTranslate2 model file, and name its Whisper encoder as Hugging Face does.

Little-endian: u32 version, string specification, u32 revision, u32 count, the variables, u32 count of aliases, aliases.
A string is a u16 length that counts a final NUL, then its bytes. A variable is its name, u8 rank, u32 per dimension,
u8 data type, u32 bytes, data. Aliases (pairs of names) are not read: the encoder has none.
"""

import struct

import numpy as np

FORMAT_VERSION = 6
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}  # ctranslate2/types.h, enum DataType
LAYER_NAMES = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_1": "self_attn.out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}
LEAF_NAMES = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias"}

Arrays = dict[str, np.ndarray]


class _Cursor:
    """A position in a byte string that moves as values are taken."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.offset = 0

    def take(self, num_bytes: int) -> bytes:
        """The next bytes; raises ValueError where the content ends before them."""
        piece = self.content[self.offset : self.offset + num_bytes]
        if len(piece) != num_bytes:
            raise ValueError(
                f"CTranslate2 file ends at byte {len(self.content)}; expected {num_bytes} bytes at {self.offset}; "
                "join both halves of the model"
            )
        self.offset += num_bytes
        return piece

    def number(self, code: str) -> int:
        """The next number, `code` as in `struct`."""
        (value,) = struct.unpack("<" + code, self.take(struct.calcsize(code)))
        return value

    def string(self) -> str:
        """The next string, without its NUL."""
        return self.take(self.number("H")).rstrip(b"\0").decode("ascii")


def read_variables(content: bytes) -> Arrays:
    """Every variable of a CTranslate2 file by name; raises ValueError for another version or a cut file."""
    cursor = _Cursor(content)
    version = cursor.number("I")
    if version != FORMAT_VERSION:
        raise ValueError(f"CTranslate2 file has version {version}; expected {FORMAT_VERSION}")
    cursor.string()  # the specification's name
    cursor.number("I")  # its revision
    variables = {}
    for _ in range(cursor.number("I")):
        name = cursor.string()
        shape = [cursor.number("I") for _ in range(cursor.number("B"))]
        dtype = DTYPES[cursor.number("B")]
        variables[name] = np.frombuffer(cursor.take(cursor.number("I")), dtype).reshape(shape)
    return variables


def encoder_tensors(variables: Arrays) -> Arrays:
    """The Whisper encoder in float32 under `encoder.*`; raises ValueError for a quantised file.

    `self_attention/linear_0` holds q, k and v stacked by rows, [3 * width, width]; the k bias, always zero, is dropped.
    """
    tensors = {}
    for name, value in variables.items():
        if not name.startswith("encoder/") or value.ndim == 0:
            continue
        if not np.issubdtype(value.dtype, np.floating):
            raise ValueError(f"{name} is stored as {value.dtype}; expected float16 or float32")
        path, _, leaf = name.removeprefix("encoder/").rpartition("/")
        value = value.astype(np.float32)
        if path.endswith("self_attention/linear_0"):
            tensors |= _split_qkv(f"layers.{path.split('/')[0].removeprefix('layer_')}.self_attn", leaf, value)
        else:
            tensors[_published_name(path, leaf)] = value
    return {f"encoder.{name}": value for name, value in tensors.items()}


def _split_qkv(prefix: str, leaf: str, value: np.ndarray) -> Arrays:
    query, key, content = np.split(value, 3, axis=0)
    split = {f"{prefix}.q_proj.{leaf}": query, f"{prefix}.v_proj.{leaf}": content}
    if leaf == "weight":
        split[f"{prefix}.k_proj.weight"] = key
    elif np.any(key):
        raise ValueError(f"{prefix} has a k bias up to {np.abs(key).max()}; expected zero, as Whisper has none")
    return split


def _published_name(path: str, leaf: str) -> str:
    if path == "position_encodings":
        return "embed_positions.weight"
    if path.startswith("layer_") and "/" in path:
        layer, _, part = path.partition("/")
        return f"layers.{layer.removeprefix('layer_')}.{LAYER_NAMES[part]}.{LEAF_NAMES[leaf]}"
    return f"{path}.{LEAF_NAMES[leaf]}"
