"""The three stages' manifests, made of the clips that the mixture allows: never a test clip, never a test text.

    python recipes/mini/stage_data.py --data DIR --out DIR

Writes `pretrain/*.jsonl`, `sft/*.jsonl` and `dpo/*.jsonl`, each with a `heldout.jsonl` of clips that no stage learns.
Whatever sources are there are used; the asterisk prompts alone are enough for a small run.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from auricle.data.manifest import open_records
from auricle.data.preferences import swaps, write_preferences
from auricle.evaluate.datasets.debian_split import normalise
from auricle.text import Tokenizer
from auricle.weights import locate
from clips import Clip, decode, write_flac
from mixture import Mixture

LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "ru": "Russian"}
TRANSCRIBE = (
    "Transcribe the speech.",
    "What does the speaker say?",
    "Write down what is said in this recording.",
    "What is said in the recording?",
    "Please transcribe this audio.",
    "Repeat the speaker's words.",
    "Transcribe this.",
    "What did the person say?",
)
TRANSLATE = (
    "Translate the speech into English.",
    "What does this mean in English?",
    "Say in English what is said in the recording.",
    "Give an English translation of this recording.",
)
NAME_LANGUAGE = (
    "What language is spoken in this recording?",
    "Which language does the speaker use?",
    "Name the language of the speech.",
    "In which language is this said?",
)
JOINED_S, JOINED_SHARE = 25.5, 0.25  # recordings of one speaker after one another give lengths that the sources lack
Line = dict[str, object]


def labelled(root: Path, clip: Clip) -> Line:
    """English is transcribed; of other languages the name is learnt."""
    line: Line = {
        "id": f"{clip.source}/{clip.id}",
        "audio": str((root / clip.audio).resolve()),
        "text": clip.text,
        "task": "asr",
        "language": clip.language,
        "source": clip.source,
        "speaker": clip.speaker,
        "duration_s": clip.duration_s,
    }
    if clip.language != "en":
        line |= {"task": "language_identification", "text": LANGUAGES[clip.language]}
    return line


def joined(root: Path, out: Path, clips: list[Clip], rng: np.random.Generator) -> Iterator[Clip]:
    """New recordings of two to four, now and then up to thirteen, of one English speaker, pauses between them."""
    speakers: dict[str, list[Clip]] = {}
    for clip in clips:
        speakers.setdefault(clip.speaker, []).append(clip)
    for number in range(int(len(clips) * JOINED_SHARE)):
        first = clips[int(rng.integers(len(clips)))]
        own = speakers[first.speaker]
        wanted = int(rng.integers(1, 4)) if rng.random() < 6 / 7 else 12
        parts, length_s = [first], first.duration_s
        for other in (own[int(i)] for i in rng.integers(len(own), size=wanted)):
            if length_s + other.duration_s + 0.4 > JOINED_S:
                break
            parts, length_s = [*parts, other], length_s + other.duration_s + 0.4
        path = out / "joined" / f"{number:05d}.flac"
        if not path.exists():
            write_flac(_one_after_another(root, parts, np.random.default_rng(number)), path)
        text = " ".join(part.text for part in parts)
        length_s = round(length_s, 3)
        yield Clip(
            f"joined-{number:05d}",
            str(path.resolve()),
            text,
            "en",
            first.speaker,
            "joined",
            length_s,
            "human",
            "train",
            "",
        )


def _one_after_another(root: Path, parts: list[Clip], rng: np.random.Generator) -> np.ndarray:
    pieces: list[np.ndarray] = []
    for part in parts:
        pieces += [decode(root / part.audio), np.zeros(int(rng.uniform(0.05, 0.4) * 16_000), np.int16)]
    return np.concatenate(pieces[:-1])


def dialogue(root: Path, clip: Clip, question: str, answer: str) -> Line:
    """One question about one recording, in the brief's form; a question without words is voice chat."""
    return {
        "id": f"{clip.source}/{clip.id}",
        "audio": str((root / clip.audio).resolve()),
        "source": clip.source,
        "duration_s": clip.duration_s,
        "conversations": [
            {"from": "human", "value": f"<audio>\n{question}" if question else "<audio>"},
            {"from": "gpt", "value": answer},
        ],
    }


def dialogues(root: Path, clips: list[Clip], english: dict[str, str], rng: np.random.Generator) -> Iterator[Line]:
    """Transcripts and translations in chat form, the language's name, and turns of sound alone."""
    for clip in clips:
        draw = rng.random()
        if draw < 0.15:
            yield dialogue(root, clip, _pick(NAME_LANGUAGE, rng), f"{LANGUAGES[clip.language]}.")
        elif clip.language != "en" and clip.id in english:
            yield dialogue(root, clip, _pick(TRANSLATE, rng), english[clip.id])
        elif clip.language == "en" and draw < 0.3:
            yield dialogue(root, clip, "", f'You said: "{clip.text}"')
        elif clip.language == "en":
            yield dialogue(root, clip, _pick(TRANSCRIBE, rng), clip.text)


def replayed(path: Path) -> Iterator[Line]:
    """The text model's own answers, which it should keep."""
    for row in path.read_text(encoding="utf-8").splitlines():
        texts = json.loads(row)
        turns = [("human", texts["question"]), ("gpt", texts["answer"])]
        yield {"source": "replay", "conversations": [{"from": who, "value": text} for who, text in turns]}


def preferences(manifests: Iterable[Path], out: Path, rng: np.random.Generator) -> None:
    """The right words before another recording's of about the same length, each text as often right as wrong."""
    tokenizer = Tokenizer.from_file(locate("mini") / "tokenizer.json")
    records = [record for manifest in manifests for record in open_records(manifest)]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_preferences(swaps(records, lambda text: len(tokenizer.encode(text)), rng, instructions=TRANSCRIBE), out)


def _pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def write(lines: Iterable[Line], path: Path) -> None:
    """JSON lines, in one step; no file for none."""
    lines = list(lines)
    if not lines:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    unfinished.rename(path)


def main() -> None:
    """Read the clips' manifests, write the stages'."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    root, out = (parser.parse_args().__dict__[name] for name in ("data", "out"))
    mixture, rng = Mixture.read(root, seed=1), np.random.default_rng(1)
    unique = list({(clip.source, clip.audio): clip for clip in mixture.train}.values())
    english = [clip for clip in unique if clip.language == "en"]
    others = [clip for clip in unique if clip.language != "en"]
    prompts = [clip for clip in english if clip.source == "asterisk-en"]
    speech = [clip for clip in english if clip.source != "asterisk-en"]
    held = [clip for clip in mixture.dev if clip.language == "en"]
    meaning = {clip.id: clip.text for clip in prompts}
    held_ids = {clip.id for clip in mixture.dev if clip.source.startswith("asterisk")}
    held_texts = {normalise(clip.text) for clip in mixture.dev}
    others = [clip for clip in others if clip.id not in held_ids and normalise(clip.text) not in held_texts]
    for name, clips in (
        ("prompts", prompts),
        ("speech", [*speech, *joined(root, out, english, rng)]),
        ("languages", others),
        ("heldout", held),
    ):
        write((labelled(root, clip) for clip in clips), out / "pretrain" / f"{name}.jsonl")
    write(dialogues(root, [*prompts, *speech, *others], meaning, rng), out / "sft" / "train.jsonl")
    write(dialogues(root, held, {}, rng), out / "sft" / "heldout.jsonl")
    if (root / "replay.jsonl").exists():
        write(replayed(root / "replay.jsonl"), out / "sft" / "replay.jsonl")
    preferences(
        [out / "pretrain" / "prompts.jsonl", out / "pretrain" / "speech.jsonl"], out / "dpo" / "train.jsonl", rng
    )
    preferences([out / "pretrain" / "heldout.jsonl"], out / "dpo" / "heldout.jsonl", rng)


if __name__ == "__main__":
    main()
