"""A text model's vocabulary extended by the tokens that a Qwen2-Audio conversation needs."""

import json
from dataclasses import dataclass
from pathlib import Path

import tokenizers
import torch

from auricle.errors import UserError

AUDIO, IM_END, PAD = "<|AUDIO|>", "<|im_end|>", "<|endoftext|>"
NEEDED = ("<|im_start|>", IM_END, AUDIO, "<|audio_bos|>", "<|audio_eos|>")
_MULTIPLE = 64  # of rows, which matrix units read whole
_NEW_ROW_NOISE = 0.1  # of the table's standard deviation


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer with every token that a conversation needs.

    ids: of every token that a conversation needs, and of `<|endoftext|>` where there is one.
    new_ids: of those that were added.
    num_old: how many ids the tokenizer had before.
    num_rows: of the embedding table: every id has one, the old table's rows are kept, a multiple of 64.
    """

    tokenizer_json: str
    ids: dict[str, int]
    new_ids: tuple[int, ...]
    num_old: int
    num_rows: int


def extend_vocabulary(path: Path, *, num_rows: int, needs_pad: bool) -> Vocabulary:
    """Add what is missing of the conversation's tokens to a tokenizer.json.

    The ids follow the tokenizer's own, so that spare rows of the table (Qwen2 has nearly 300) are used first. Text is
    encoded as before; only a post-processor that puts tokens of its own around a text is taken off, because the
    published template has none.

    Args:
        path: the text model's tokenizer.json.
        num_rows: of its embedding table.
        needs_pad: also add `<|endoftext|>`.

    Raises:
        UserError: there is no such file, or it is damaged.
    """
    if not path.exists():
        raise UserError(
            f"no tokenizer.json in {path.parent}; write one with transformers' AutoTokenizer and `save_pretrained`"
        )
    try:
        tokenizer = tokenizers.Tokenizer.from_str(_without_frame(path.read_text(encoding="utf-8")))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"{path} is damaged: {error}; fetch it again") from error
    num_old = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    wanted = (*NEEDED, PAD) if needs_pad else NEEDED
    tokenizer.add_special_tokens([tokenizers.AddedToken(t, normalized=False, special=True) for t in wanted])
    known = tokenizer.get_vocab(with_added_tokens=True)
    ids = {token: known[token] for token in (*NEEDED, PAD) if token in known}
    new_ids = tuple(sorted(token_id for token_id in ids.values() if token_id >= num_old))
    most = max(num_rows, max(ids.values()) + 1, num_old)
    return Vocabulary(tokenizer.to_str(), ids, new_ids, num_old, -(-most // _MULTIPLE) * _MULTIPLE)


def extend_rows(table_VD: torch.Tensor, vocabulary: Vocabulary, generator: torch.Generator) -> torch.Tensor:
    """An embedding table or a head [old rows, D] -> [num_rows, D]; the rows of old ids are kept bit for bit.

    A new row is the mean of the old ones: a new token is then as likely as an average one, and the old tokens'
    probabilities hardly move. A little noise lets new tokens differ, so that training can tell them apart.
    """
    old = table_VD[: vocabulary.num_old].float()
    appended = range(len(table_VD), vocabulary.num_rows)
    rows = [*(token_id for token_id in vocabulary.new_ids if token_id < len(table_VD)), *appended]
    noise = torch.randn(len(rows), table_VD.shape[1], generator=generator)
    extended = torch.cat((table_VD, table_VD.new_zeros(len(appended), table_VD.shape[1])))
    extended[rows] = (old.mean(dim=0) + _NEW_ROW_NOISE * old.std() * noise).to(table_VD.dtype)
    return extended


def _without_frame(tokenizer_json: str) -> str:
    """The tokenizer without a post-processor that adds tokens; byte-level ones only trim offsets, and stay."""
    contents = json.loads(tokenizer_json)
    post = contents.get("post_processor") or {}
    kinds = {post.get("type"), *(inner["type"] for inner in post.get("processors", []))}
    if not kinds <= {None, "ByteLevel"}:
        contents["post_processor"] = None
    return json.dumps(contents, ensure_ascii=False)
