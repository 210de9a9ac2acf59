"""Before and after: what is written is what the augmenter did, told truly."""

import json
import re
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest

from auricle.audio import load
from auricle.conversation import Message
from auricle.data import Dialogue, Labelled, Recording
from auricle.data.augment import Augmenter
from auricle.data.listen import listen_samples
from auricle.data.settings import AugmentSettings
from auricle.errors import UserError

SETTINGS = AugmentSettings(noise_chance=1.0, speed_chance=1.0, room_chance=1.0, telephone_chance=1.0, mask_chance=1.0)


@pytest.fixture
def records(recordings) -> list[Labelled | Dialogue]:
    heard = [
        Labelled(f"<lines>.jsonl:{number}", f"{number}", "tones", (Recording(path),), "asr", "a tone")
        for number, path in enumerate(recordings, start=1)
    ]
    text = Dialogue("lines.jsonl:9", "9", "text", (), (Message("user", ("Hello",)), Message("assistant", ("Hello",))))
    return [text, *heard]


def test_files_pictures_and_an_index_say_what_was_done(records, recordings, tmp_path):
    out = tmp_path / "made" / "here"
    index = listen_samples(records, out, num=2, seed=0, settings=SETTINGS)
    assert json.loads((out / "index.json").read_text()) == json.loads(json.dumps(index))
    written = {f"{number}{end}" for number in (0, 1) for end in ("-before.wav", "-after.wav", ".png")}
    assert {path.name for path in out.iterdir()} == {"index.json", "index.html", *written}
    assert len({entry["path"] for entry in index}) == 2
    for entry in index:
        original = load(entry["path"]).samples
        before, after = load(out / entry["before"]).samples, load(out / entry["after"]).samples
        assert np.abs(before - original).max() < 1e-4  # 16 bit
        assert len(after) == round(len(before) / entry["change"]["speed"])
        assert 5 <= entry["change"]["snr_db"] <= 20
        assert entry["change"]["telephone"]
        assert entry["change"]["masks"]
        header = (out / entry["picture"]).read_bytes()[:24]
        assert header.startswith(b"\x89PNG")
        assert min(struct.unpack(">II", header[16:])) > 300
        changed, change = Augmenter.of(replace(SETTINGS, chance=1.0)).change(
            load(entry["path"]), np.random.default_rng((0, recordings.index(type(recordings[0])(entry["path"]))))
        )
        assert np.abs(after - changed.samples).max() < 1e-4
        assert change.snr_db == entry["change"]["snr_db"]


def test_a_page_plays_shows_and_tells_each(records, tmp_path):
    [entry] = listen_samples(records, tmp_path, num=1, seed=0, settings=SETTINGS)
    page = (tmp_path / "index.html").read_text()
    for name in (entry["before"], entry["after"], entry["picture"]):
        assert f'src="{name}"' in page
    assert "&lt;lines&gt;.jsonl:" in page  # what a manifest is called cannot write into the page
    change = entry["change"]
    told = re.search(r"<p>.*: (speed.*)</p>", page).group(1)
    assert told == (
        f"speed {change['speed']:.2f}, a room of {change['decay_s']:.2f} s, noise at {change['snr_db']:.1f} dB, "
        f"telephone, gain {change['gain_db']:+.1f} dB, {len(change['masks'])} masks"
    )


def test_the_same_seed_gives_the_same_files_and_another_others(records, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        listen_samples(records, tmp_path / name, num=2, seed=seed, settings=SETTINGS)
    first, again, other = ((tmp_path / name / "0-after.wav").read_bytes() for name in "abc")
    assert first == again != other
    assert (tmp_path / "a" / "0.png").read_bytes() == (tmp_path / "b" / "0.png").read_bytes()


def test_more_than_there_are_gives_all_and_nothing_to_hear_is_refused(records, tmp_path):
    assert len(listen_samples(records, tmp_path, num=99, seed=0, settings=AugmentSettings())) == 3
    with pytest.raises(UserError, match="nothing to listen to: got 1 records without a recording"):
        listen_samples(records[:1], tmp_path, num=1, seed=0, settings=SETTINGS)


def test_a_recording_beyond_full_scale_is_written_softer_and_not_cut(tmp_path, encode_audio, sine):
    path = tmp_path / "loud.wav"
    path.write_bytes(encode_audio(4 * sine(0.5)[None], container="wav", codec="pcm_f32le", rate=16000))
    record = Labelled("lines.jsonl:1", "1", "tones", (Recording(path),), "asr", "a tone")
    listen_samples([record], tmp_path / "out", num=1, seed=0, settings=SETTINGS)
    assert np.abs(load(tmp_path / "out" / "0-before.wav").samples - 2 * sine(0.5)).max() < 1e-4


def test_a_recording_that_cannot_be_heard_and_a_missing_library_are_told(records, tmp_path, monkeypatch):
    missing = replace(records[1], recordings=(Recording(tmp_path / "none.wav"),))
    with pytest.raises(UserError, match=r"lines>\.jsonl:1: no such file"):
        listen_samples([missing], tmp_path, num=1, seed=0, settings=SETTINGS)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match=r"need matplotlib; install it with pip install 'auricle\[train\]'"):
        listen_samples(records, tmp_path / "out", num=1, seed=0, settings=SETTINGS)
    assert not (tmp_path / "out").exists()
