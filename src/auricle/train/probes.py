"""Held-out groups made ready once: as they are, with each hearing another's recordings, and hearing silence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auricle.data import Group, Pack
from auricle.data.heldout import hear_groups, silenced, with_other_audio
from auricle.data.source import Hear, Measure
from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class Probes:
    """heard: groups with recordings. other: the same groups with the recordings of others; empty where there are no
    others. text: groups without a recording. silent: pairs whose recordings are silent; empty where there
    are no pairs. remarks: what was left out, and why.
    """

    heard: tuple[Pack, ...]
    other: tuple[Pack, ...]
    text: tuple[Pack, ...]
    silent: tuple[Pack, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Ear:
    """How groups are heard; `refused` collects why some were not."""

    measure: Measure
    hear: Hear
    pack_tokens: int
    seed: int
    refused: list[str]

    def __call__(self, groups: Sequence[Group]) -> tuple[Pack, ...]:
        packs = hear_groups(groups, self.measure, self.hear, self.pack_tokens, self.seed)
        self.refused.extend(refusal.why for pack in packs for refusal in pack.refused)
        return tuple(pack for pack in packs if pack.labels)


def make_probes(groups: Sequence[Group], measure: Measure, hear: Hear, *, pack_tokens: int, seed: int) -> Probes:
    """Hear every group, in its own recordings and in others'; one that either refuses is left out of both.

    Args:
        groups: as `data.heldout.heldout_groups` gives them, each of a line of its own.
        measure: bounds a group's tokens.
        hear: without augmentation.
        pack_tokens: of a pack; a longer group is a pack of its own.
        seed: who hears whom.
    """
    ear = _Ear(measure, hear, pack_tokens, seed, [])
    sounding = [group for group in groups if any(example.recordings for example in group)]
    text = ear([group for group in groups if not any(example.recordings for example in group)])
    heard, remarks = ear(sounding), []
    kept = _those_in(heard, sounding)
    try:
        other = ear(with_other_audio(kept, np.random.default_rng(seed)))
    except UserError as error:
        other = ()
        remarks.append(f"no alignment probe: {error}")
    comparable = _those_in(other, kept)
    if other and len(comparable) < len(kept):
        kept, heard = comparable, ear(comparable)
    pairs = [group for group in kept if len(group) == 2]
    silent = ear(silenced(pairs)) if pairs else ()
    if ear.refused:
        remarks.append(f"{len(ear.refused)} held-out examples are left out, the first because: {ear.refused[0]}")
    return Probes(heard, other, text, silent, tuple(remarks))


def _those_in(packs: Sequence[Pack], groups: Sequence[Group]) -> list[Group]:
    heard = {label.where for pack in packs for label in pack.labels}
    return [group for group in groups if group[0].where in heard]
