"""The stages' manifests: readable, and without any test recording, test text or held-out clip in what is learnt."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from auricle.data import Dialogue, Labelled, Preference
from auricle.data.manifest import open_records
from auricle.evaluate.datasets import debian_split as split

RECIPE = Path(__file__).parents[2] / "recipes" / "mini"
WORDS = ("press", "one", "for", "the", "sales", "desk", "please", "hold", "goodbye", "monday")


@pytest.fixture(scope="module")
def made(tmp_path_factory, encode_audio, sine):
    """A data root with 96 made-up prompts, some of which repeat a test prompt's text, and what the script makes."""
    root = tmp_path_factory.mktemp("recipe")
    rng, clips = np.random.default_rng(0), []
    (root / "data" / "asterisk-en").mkdir(parents=True)
    flac = encode_audio(sine(0.8)[None], container="flac", codec="flac", rate=16000)
    for number in range(96):
        identity = f"prompt-{number}"
        (root / "data" / "asterisk-en" / f"{identity}.flac").write_bytes(flac)
        text = " ".join(rng.choice(WORDS, size=int(rng.integers(2, 6)))).capitalize() + "."
        split = "test" if hashlib.sha1(identity.encode()).hexdigest()[-1] in "012" else "train"
        clips.append(
            {"id": identity, "audio": f"asterisk-en/{identity}.flac", "text": text, "language": "en", "speaker": "a"}
            | {"source": "asterisk-en", "duration_s": 0.8, "kind": "human", "split": split, "licence": ""}
        )
    tested = next(clip for clip in clips if clip["split"] == "test")
    leak = next(clip for clip in clips if clip["split"] == "train" and clip["id"][-1] != "3")
    leak["text"] = tested["text"].upper()
    lines = "".join(json.dumps(clip) + "\n" for clip in clips)
    (root / "data" / "asterisk-en.jsonl").write_text(lines)
    command = [sys.executable, RECIPE / "stage_data.py", "--data", root / "data", "--out", root / "stages"]
    subprocess.run(command, check=True)
    return root / "stages", clips


def learnt(stages):
    return [path for path in sorted(stages.rglob("*.jsonl")) if path.stem != "heldout"]


def texts_of(record):
    match record:
        case Labelled():
            yield record.target
        case Dialogue():
            yield from (str(part) for turn in record.messages for part in turn.content)
        case Preference():
            yield from (record.chosen, record.rejected)


def test_every_stage_has_records_of_its_kind(made):
    stages, _ = made
    kinds = {path.parent.name: {type(record) for record in open_records(path)} for path in stages.rglob("*.jsonl")}
    assert kinds == {"pretrain": {Labelled}, "sft": {Dialogue}, "dpo": {Preference}}


def test_no_test_recording_and_no_test_text_is_learnt(made):
    stages, clips = made
    tested = [clip for clip in clips if clip["split"] == "test"]
    ids, texts = {clip["id"] for clip in tested}, {split.normalise(clip["text"]) for clip in tested}
    assert len(ids) > 8
    for path in learnt(stages):
        for record in open_records(path):
            assert not {recording.path.stem for recording in record.recordings} & ids, path
            assert not {split.normalise(text) for text in texts_of(record)} & texts, path


def test_held_out_clips_are_not_learnt(made):
    stages, _ = made
    held = list(open_records(stages / "pretrain" / "heldout.jsonl"))
    assert len(held) > 2
    files = {record.recordings[0].path for record in held}
    texts = {split.normalise(record.target) for record in held}
    for path in learnt(stages):
        for record in open_records(path):
            assert not {recording.path for recording in record.recordings} & files
            assert not {split.normalise(text) for text in texts_of(record)} & texts, path


def test_each_text_is_as_often_right_as_wrong(made):
    stages, _ = made
    pairs = list(open_records(stages / "dpo" / "train.jsonl"))
    assert sorted(pair.chosen for pair in pairs) == sorted(pair.rejected for pair in pairs)
    assert all(pair.chosen != pair.rejected for pair in pairs)
