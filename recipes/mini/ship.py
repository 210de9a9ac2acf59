"""Quantise a trained model and write the directory that ships inside the package.

    python recipes/mini/ship.py --model RUN/model --start DIR --out src/auricle/assets/mini

Every matrix of the encoder's and the decoder's layers and the embeddings: 5 bits in groups of 64 columns, as training
heard the decoder at its end. The rest (norms, biases, convolutions, positions, projector: 1 % of the parameters) stays
bfloat16.
"""

import argparse
import json
from pathlib import Path

import torch

from auricle.model import Qwen2Audio
from auricle.weights import read_model, write_packed
from auricle.weights.config_json import config_to_json

MAX_SHARD_BYTES = 48_000_000
COPIED = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "preprocessor_config.json")


def schemes(model: Qwen2Audio) -> dict[str, str]:
    """Which parameters are packed, and how."""
    packed = ("audio_tower.layers.", "language_model.model.")
    return {name: "int5" for name, tensor in model.named_parameters() if tensor.ndim == 2 and name.startswith(packed)}


def main() -> None:
    """Pack and write; say how large it became."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the trained model")
    parser.add_argument("--start", type=Path, required=True, help="where the tokenizer and the other json files lie")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = read_model(arguments.model, dtype=torch.float32, device=torch.device("cpu"))
    state = dict(model.named_parameters())  # a tied head once
    write_packed(state, schemes(model), arguments.out, max_shard_bytes=MAX_SHARD_BYTES)
    (arguments.out / "config.json").write_text(json.dumps(config_to_json(model.config), indent=2) + "\n")
    for name in COPIED:
        compact = json.dumps(
            json.loads((arguments.start / name).read_text()), ensure_ascii=False, separators=(",", ":")
        )
        (arguments.out / name).write_text(compact + "\n")
    sizes = {path.name: path.stat().st_size for path in sorted(arguments.out.glob("*.safetensors"))}
    print(sizes, "in all", sum(sizes.values()))


if __name__ == "__main__":
    main()
