"""A model with its projector fitted in closed form, where stage 1 begins.

python recipes/mini/fresh_projector.py --model MODEL --spoken stages/pretrain/prompts.jsonl --out DIR
"""

import argparse
import shutil
from pathlib import Path

import torch

from auricle.data.manifest import open_records
from auricle.extend import fit_projector
from auricle.weights import locate, read_checkpoint, write_model
from ship import COPIED

MOST = 200  # recordings: more explain no more


def main() -> None:
    """Fit, write, say how much of the words' embeddings the sound explains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    for name in ("spoken", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    checkpoint = read_checkpoint(locate(arguments.model), dtype=torch.float32, device=torch.device("cpu"))
    model, records = checkpoint.model, open_records(arguments.spoken)
    first = (records[number] for number in range(min(MOST, len(records))))
    spoken = ((record.recordings[0].load(), record.target) for record in first)
    fit = fit_projector(model.audio_tower, model.language_model.model.embed_tokens.weight, checkpoint.tokenizer, spoken)
    model.multi_modal_projector.linear.load_state_dict({"weight": fit.weight, "bias": fit.bias})
    write_model(model, arguments.out)
    for name in COPIED:
        shutil.copyfile(checkpoint.directory / name, arguments.out / name)
    print(f"the projector's start explains {fit.explained:.1%} of the words' embeddings")


if __name__ == "__main__":
    main()
