"""What the text model answers to plain questions, so that training on speech does not make it forget.

python recipes/mini/replay.py --start DIR --out DATA/replay.jsonl
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from auricle.conversation import Message, Sampling
from auricle.generate import generate
from auricle.prepare import Prepared, collate, render
from auricle.weights import read_checkpoint

COUNTRIES = (
    "France Germany Italy Spain Portugal Japan China India Russia Egypt Greece Turkey Canada Australia Brazil Mexico "
    "Argentina Chile Peru Norway Sweden Finland Denmark Poland Austria Hungary Ireland Iceland Belgium Switzerland "
    "Kenya Nigeria Ethiopia Morocco Thailand Vietnam Indonesia Cuba England Scotland"
).split()
OF_COUNTRY = (
    "What is the capital of {}?", "What language do people speak in {}?", "On which continent is {}?",
    "Name one city in {}.", "Name a food from {}.",
)  # fmt: skip
NOUNS = (
    "water bread music winter summer rain the_moon the_sun a_tree a_dog a_cat a_horse a_bird a_river the_ocean "
    "a_mountain a_computer a_telephone a_book a_school a_doctor a_farmer friendship honesty time money history "
    "science art football chess a_bicycle a_train a_ship an_airplane coffee tea cheese an_apple gold iron glass paper "
    "the_heart the_brain sleep language a_poem a_song a_king a_city a_garden a_bridge electricity gravity light sound"
).split()
OF_NOUN = (
    "What is {}?", "Write one sentence about {}.", "Why do people like {}?", "Explain {} to a child in one sentence.",
    "Tell me something interesting about {}.", "Give three words that describe {}.", "Say hello and mention {}.",
)  # fmt: skip
SINGLE = (
    "Hello!", "Who are you?", "How are you today?", "What can you do?", "Thank you.", "Good morning.",
    "Tell me a joke.",
    "What is two plus two?", "What is the opposite of hot?", "What is the opposite of big?",
    "How many days are in a week?",
    "How many months are in a year?", "What colour is the sky?", "Name three colours.", "Name three animals.",
    "What do bees make?", "Who wrote Hamlet?", "What is the largest planet?", "What is the chemical symbol for water?",
    "Can you help me?", "Give me advice for a good night's sleep.", "Write a short poem.", "How do I boil an egg?",
    "What should I cook tonight?", "Recommend a book.", "Count from one to ten.", "Translate good morning into French.",
)  # fmt: skip


def questions() -> list[str]:
    """Every question, in an order mixed with a fixed seed."""
    found = [form.format(country) for country in COUNTRIES for form in OF_COUNTRY]
    found += [form.format(noun.replace("_", " ")) for noun in NOUNS for form in OF_NOUN]
    found += SINGLE
    np.random.default_rng(0).shuffle(found)
    return found


def main() -> None:
    """Answer every question greedily and write {"question", "answer"} lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="the starting checkpoint")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    checkpoint = read_checkpoint(arguments.start, dtype=torch.bfloat16, device=torch.device("cpu"))
    asked = questions()
    with arguments.out.open("w") as file:
        for start in range(0, len(asked), 32):
            batch = asked[start : start + 32]
            prompts = [
                Prepared(render([Message("user", (text,))], [], checkpoint.tokenizer, open_turn=True)) for text in batch
            ]
            inputs = collate(prompts, pad_id=checkpoint.pad_id)
            rows = generate(checkpoint.model, inputs, Sampling(max_new_tokens=60), stop_ids=checkpoint.stop_ids)
            for text, row in zip(batch, rows, strict=True):
                answer = checkpoint.tokenizer.decode(row.ids).strip()
                if row.finish_reason == "length":  # keep whole sentences
                    answer = answer[: answer.rfind(".") + 1]
                if answer:
                    file.write(json.dumps({"question": text, "answer": answer}) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
