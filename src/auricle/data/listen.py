"""Recordings before and after augmentation, to hear and to look at."""

import html
import json
import wave
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auricle import units
from auricle.audio import Mel, Waveform
from auricle.data.augment import Augmenter
from auricle.data.hear import mels_of, naming
from auricle.data.records import Record, Recording
from auricle.data.settings import AugmentSettings
from auricle.errors import UserError

_NUM_MEL_BINS = 128  # of the published encoder
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Before and after</title>
<style>body {{ font: 16px sans-serif; max-width: 60em; margin: 2em auto }} img {{ max-width: 100% }}</style>
<h1>Before and after</h1>
{samples}
</html>
"""
_SAMPLE = """<h2>{where}</h2>
<p>{path}: {change}</p>
<p>before <audio controls src="{before}"></audio> after <audio controls src="{after}"></audio></p>
<img src="{picture}" alt="mel pictures before and after">
"""


def listen_samples(
    records: Sequence[Record], out: Path, *, num: int, seed: int, settings: AugmentSettings
) -> list[dict[str, Any]]:
    """Write `num` recordings, drawn from all of the records', before and after a change.

    `out` gets N-before.wav, N-after.wav (16 bit) and N.png (both mels) for each, index.json with what was done, and
    index.html to hear and see it all. The settings' `chance` is taken as 1: every one is changed. The same seed, the
    same files.

    Returns:
        What index.json holds: for each its names, its `where`, its recording and its `change`.

    Raises:
        UserError: matplotlib is not installed, no record has a recording, a setting makes no sense, or a recording
            cannot be heard: the message names its place.
    """
    require_matplotlib()
    augmenter = Augmenter.of(replace(settings, chance=1.0))
    choices = [(record.where, recording) for record in records for recording in record.recordings]
    if not choices:
        raise UserError(f"nothing to listen to: got {len(records)} records without a recording, expected some with one")
    rng = np.random.default_rng(seed)
    drawn = sorted(rng.choice(len(choices), size=min(num, len(choices)), replace=False).tolist())
    out.mkdir(parents=True, exist_ok=True)
    index = []
    for number, place in enumerate(drawn):
        where, recording = choices[place]
        with naming(where):
            sample = _write_sample(recording, out / f"{number}", augmenter, np.random.default_rng((seed, place)))
        index.append({"where": where, "path": str(recording.path), **sample})
    (out / "index.json").write_text(json.dumps(index, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "index.html").write_text(_page(index), encoding="utf-8")
    return index


def require_matplotlib() -> Any:
    """matplotlib's Figure.

    Raises:
        UserError: it is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("mel pictures need matplotlib; install it with pip install 'auricle[train]'") from error
    return Figure


def _write_sample(recording: Recording, stem: Path, augmenter: Augmenter, rng: np.random.Generator) -> dict[str, Any]:
    before = recording.load()
    after, change = augmenter.change(before, rng)
    mels_before, mels_after = (mels_of(waveform, num_mel_bins=_NUM_MEL_BINS) for waveform in (before, after))
    if change is None:
        raise AssertionError("a recording was left as it is at a chance of 1")
    mels_after, change = augmenter.mask(mels_after, change, rng)
    files = {"before": f"{stem.name}-before.wav", "after": f"{stem.name}-after.wav", "picture": f"{stem.name}.png"}
    _write_wav(before, stem.with_name(files["before"]))
    _write_wav(after, stem.with_name(files["after"]))
    _draw(mels_before, mels_after, stem.with_name(files["picture"]))
    return {**files, "change": asdict(change)}


def _write_wav(waveform: Waveform, path: Path) -> None:
    """16 bit, one channel; louder than full scale is made softer as a whole."""
    samples = waveform.samples / max(1.0, float(np.abs(waveform.samples).max()))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(units.SAMPLE_RATE)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())


def _draw(before: Sequence[Mel], after: Sequence[Mel], path: Path) -> None:
    """One above the other, on the same scales of time and colour."""
    pictures = [torch.cat([mel.features[:, : mel.num_frames] for mel in mels], dim=1) for mels in (before, after)]
    sheet = require_matplotlib()(figsize=(10, 6), layout="constrained")
    low, high = (float(function(torch.cat(pictures, dim=1))) for function in (torch.min, torch.max))
    longest_s = max(picture.shape[1] for picture in pictures) / units.FRAMES_PER_S
    for axes, title, picture in zip(sheet.subplots(2, 1), ("before", "after"), pictures, strict=True):
        extent = (0, picture.shape[1] / units.FRAMES_PER_S, 0, len(picture))
        axes.imshow(picture.numpy(), origin="lower", aspect="auto", extent=extent, vmin=low, vmax=high)
        axes.set_xlim(0, longest_s)
        axes.set(title=title, xlabel="seconds", ylabel="mel bins")
    sheet.savefig(path)


def _page(index: Sequence[dict[str, Any]]) -> str:
    samples = [
        _SAMPLE.format(**{key: html.escape(str(value)) for key, value in {**entry, "change": _told(entry)}.items()})
        for entry in index
    ]
    return _PAGE.format(samples="\n".join(samples))


def _told(entry: dict[str, Any]) -> str:
    """What was done to one, in words."""
    change = entry["change"]
    parts = [f"speed {change['speed']:.2f}"] if change["speed"] != 1 else []
    parts += [] if change["decay_s"] is None else [f"a room of {change['decay_s']:.2f} s"]
    parts += [] if change["snr_db"] is None else [f"noise at {change['snr_db']:.1f} dB"]
    parts += ["telephone"] if change["telephone"] else []
    parts += [f"gain {change['gain_db']:+.1f} dB"]
    parts += [f"{len(change['masks'])} masks"] if change["masks"] else []
    return ", ".join(parts)
