"""The projector in closed form: one ridge regression from encoder tokens to the words' own embeddings.

Each utterance's text tokens are laid over its audio tokens in proportion to their characters; the map that best
turns the latter into the embeddings of the former is where training starts.
"""

from pathlib import Path

import torch

from auricle.model import Qwen2Audio
from auricle.prepare import collate
from auricle.text import Tokenizer
from clips import Clip
from examples import plain_example

RIDGE = 1.0  # times the mean of the Gram matrix's diagonal, over 100


def start_projector(model: Qwen2Audio, root: Path, clips: list[Clip], tokenizer: Tokenizer) -> float:
    """Set the projector's weight and bias; returns the share of the embeddings' variance explained."""
    table = model.language_model.model.embed_tokens.weight.detach()
    heard, said = [], []
    for clip in clips:
        inputs = collate([plain_example(root, clip, tokenizer)], pad_id=0)
        with torch.inference_mode():
            audio = model.audio_tower(inputs.features, inputs.num_frames.tolist()).float()
        ids = _lay_out(tokenizer, clip.text, len(audio))
        heard.append(audio)
        said.append(table[ids].float())
    x, y = torch.cat(heard), torch.cat(said)
    x_mean, y_mean = x.mean(0), y.mean(0)
    gram = (x - x_mean).T @ (x - x_mean)
    gram += torch.eye(len(gram)) * gram.diagonal().mean() * RIDGE / 100
    weight = torch.linalg.solve(gram, (x - x_mean).T @ (y - y_mean))
    fitted = (x - x_mean) @ weight
    explained = float(fitted.square().sum() / (y - y_mean).square().sum())
    weight *= table.float().std() / fitted.std()
    linear = model.multi_modal_projector.linear
    with torch.no_grad():
        linear.weight.copy_(weight.T)
        linear.bias.copy_(y_mean - x_mean @ weight)
    return explained


def _lay_out(tokenizer: Tokenizer, text: str, num_audio: int) -> list[int]:
    """One text id per audio token, each id for as long as its share of the characters."""
    ids = tokenizer.encode(f" {text}")
    ends, total = [], 0
    for token_id in ids:
        total += max(1, len(tokenizer.decode([token_id])))
        ends.append(total)
    places = ((torch.arange(num_audio) + 0.5) / num_audio * total).tolist()
    return [ids[next(i for i, end in enumerate(ends) if place < end)] for place in places]
