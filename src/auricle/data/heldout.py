"""Examples that nobody learns from, the same ones every time; with other recordings, or none to hear, as a check.

A model that listens does better with the true recording than with another's or with silence: the difference is the
alignment probe.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from auricle.audio import Waveform
from auricle.data.loader import hear_group, leaving_out
from auricle.data.mixture import draw_generator
from auricle.data.pack import Label, Pack, make_pack
from auricle.data.packer import Packer, Piece
from auricle.data.records import Group, Record, Recording
from auricle.data.refusal import Refusal, naming
from auricle.data.source import Hear, Make, Measure
from auricle.errors import UserError
from auricle.prepare import Prepared


@dataclass(frozen=True, slots=True)
class Silenced(Recording):
    """A recording of which nothing is heard: digital silence of exactly its length, so that every token stays."""

    def load(self) -> Waveform:
        """As many zeros as the recording has samples."""
        return Waveform(np.zeros_like(Recording.load(self).samples))


def heldout_groups(records: Sequence[Record], make: Make, num: int, seed: int) -> list[Group]:
    """`num` different records, or all there are, in an order drawn from the seed, with the prompts it draws.

    Raises:
        UserError: a record cannot be made an example; the message names it.
    """
    chosen = np.random.default_rng(seed).permutation(len(records))[:num]
    return [_make(make, records[place], draw_generator(seed, number, "make")) for number, place in enumerate(chosen)]


def hear_groups(groups: Sequence[Group], measure: Measure, hear: Hear, pack_tokens: int, seed: int) -> list[Pack]:
    """Every group in a pack; one that cannot be heard is left out and named in `Pack.refused`.

    Args:
        groups: as `heldout_groups` gives them, or changed by one of the functions below.
        measure: as the stream's.
        hear: without augmentation, where measurements are to be compared.
        pack_tokens: of a pack; a longer group is a pack of its own.
        seed: of what hearing draws.

    Raises:
        UserError: the length of a recording cannot be found.
    """
    packer = Packer(pack_tokens)
    finished = [packer.add(Piece(number, 0, number, measure(group))) for number, group in enumerate(groups)]
    packs = []
    for pieces in [*(pack for pack in finished if pack is not None), *packer.rest()]:
        sequences: list[tuple[Prepared, Label]] = []
        refused: list[Refusal] = []
        for piece in pieces:
            group = groups[piece.record]
            with leaving_out(group[0].where, refused):
                sequences += hear_group(hear, group, draw_generator(seed, piece.number, "hear"), piece.tokens)
        packs.append(make_pack(sequences, refused))
    return packs


def with_other_audio(groups: Sequence[Group], rng: np.random.Generator) -> list[Group]:
    """The same texts, each group with the recordings of another.

    Groups of the same kind (tasks and numbers of recordings) pass their recordings round in a drawn circle. Groups
    with the same recordings, such as several questions about one, count as one in it. A group that is alone in its
    kind gets any other recordings. Text without recordings stays.

    Raises:
        UserError: there is no other recording.
    """
    circles: dict[_Kind, dict[_Heard, None]] = {}
    for group in groups:
        circles.setdefault(_kind(group), {})[_heard(group)] = None
    next_of: dict[tuple[_Kind, _Heard], _Heard] = {}
    for kind, members in circles.items():
        circle = [list(members)[place] for place in rng.permutation(len(members))]
        next_of |= {(kind, heard): after for heard, after in zip(circle, circle[1:] + circle[:1], strict=True)}
    pool = list(dict.fromkeys(recording for group in groups for example in group for recording in example.recordings))
    others = []
    for group in groups:
        after = next_of[_kind(group), _heard(group)]
        others.append(_hearing(group, _any_others(group, pool, rng) if after == _heard(group) else after))
    return others


def silenced(groups: Sequence[Group]) -> list[Group]:
    """The same texts, each recording replaced by silence of its length: what can be guessed without listening."""
    return [
        _hearing(group, tuple(tuple(map(_silence, recordings)) for recordings in _heard(group))) for group in groups
    ]


_Kind = tuple[tuple[str, int], ...]
_Heard = tuple[tuple[Recording, ...], ...]


def _kind(group: Group) -> _Kind:
    return tuple((example.task, len(example.recordings)) for example in group)


def _heard(group: Group) -> _Heard:
    return tuple(example.recordings for example in group)


def _hearing(group: Group, heard: _Heard) -> Group:
    return tuple(replace(example, recordings=recordings) for example, recordings in zip(group, heard, strict=True))


def _silence(recording: Recording) -> Silenced:
    return Silenced(*(getattr(recording, field.name) for field in fields(recording)))


def _any_others(group: Group, pool: Sequence[Recording], rng: np.random.Generator) -> _Heard:
    """For each of its recordings one that it does not hear, the same wherever it stands twice."""
    own = dict.fromkeys(recording for recordings in _heard(group) for recording in recordings)
    others = [recording for recording in pool if recording not in own]
    if own and not others:
        raise UserError(
            f"{group[0].where}: no other recording to hear instead: got {len(pool)} in all the held-out data, "
            "expected at least two different ones; hold out more"
        )
    other_of = {recording: others[rng.integers(len(others))] for recording in own}
    return tuple(tuple(other_of[recording] for recording in recordings) for recordings in _heard(group))


def _make(make: Make, record: Record, rng: np.random.Generator) -> Group:
    try:
        return make(record, rng)
    except UserError as error:
        sentence = naming(record.where, error)
        raise UserError(sentence) from error
