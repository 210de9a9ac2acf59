"""Lines that turn bad while a run reads them."""

import json
from contextlib import closing
from itertools import count
from pathlib import Path

import fake_stage
import numpy as np
from fake_stage import stream

from auricle.data import Group, Labelled
from auricle.data.manifest import open_records
from auricle.data.source import Source


def test_a_line_that_turns_bad_is_left_out(tmp_path: Path):
    """First after it was planned and before it is heard, later when it is drawn again."""
    manifest = tmp_path / "m.jsonl"
    lines = [json.dumps({"audio": f"{n}.wav", "text": "50", "task": "asr"}) + "\n" for n in range(4)]
    manifest.write_text("".join(lines))
    num_made = count(1)

    def make(record: Labelled, rng: np.random.Generator) -> Group:
        if next(num_made) == 4:  # all that the first pack holds
            manifest.write_text("".join([*lines[:2], "x" * (len(lines[2]) - 1) + "\n", lines[3]]))
        return fake_stage.make(record, rng)

    with closing(iter(stream([Source("m", open_records(manifest), 1.0)], make=make, pack_tokens=200))) as steps:
        step = next(steps)
    assert [len(pack.labels) for pack in step.packs] == [3, 4, 4, 4]
    refused = [[refusal.where for refusal in pack.refused] for pack in step.packs]
    assert refused[0] == [f"{manifest}:3"]
    assert {where for pack in refused[1:] for where in pack} == {f"{manifest}:3"}
    heard = {label.where for pack in step.packs for label in pack.labels}
    assert heard == {f"{manifest}:{number}" for number in (1, 2, 4)}
