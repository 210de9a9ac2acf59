"""From scores to everything that a report says."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from auricle.conversation import Sampling
from auricle.evaluate.normalise.interface import ModeName
from auricle.evaluate.published import Row
from auricle.evaluate.report.answers import cards, recordings, worst
from auricle.evaluate.report.comparisons import compared
from auricle.evaluate.report.details import detail
from auricle.evaluate.report.players import Player, players
from auricle.evaluate.report.settings import ReportSettings
from auricle.evaluate.report.tables import anchor, footnotes, headline, tables
from auricle.evaluate.report.view import ModeView, Page
from auricle.evaluate.run_info import PromptForm, RunInfo
from auricle.evaluate.scores import RowScores

_PROMPT_FORMS: dict[PromptForm, str] = {
    "raw": "raw form of the base model",
    "chat": "chat template",
    "auto": "chat template for chats, raw form of the base model for the rest",
    "none": "none; the model has its own",
}


def build(
    info: RunInfo,
    scores: Sequence[RowScores],
    rows: Mapping[str, Row],
    settings: ReportSettings,
    reasons: Mapping[ModeName, Sequence[str]],
    *,
    num_missing: int = 0,
) -> Page:
    """Work everything out; recordings are read and encoded here.

    Args:
        info: the run.
        scores: rows of one mode or of both, in the order of the table.
        rows: the table's lines by name, with their published figures.
        settings: how much the report holds.
        reasons: what a mode does and why, where the report is to say so.
        num_missing: samples of the run that have no answer yet.
    """
    listed = [worst(row, settings.worst_per_row) for row in scores]
    paths = list(dict.fromkeys(recordings(listed)))
    heard = players(paths, player_s=settings.player_s, num_bytes=round(settings.players_mb * 1e6))
    keys = {path: f"r{place}" for place, path in enumerate(paths)}
    modes: dict[ModeName, list[int]] = {}
    for place, row in enumerate(scores):
        modes.setdefault(row.mode, []).append(place)
    views = []
    for mode, places in modes.items():
        own = [scores[place] for place in places]
        notes = footnotes(own)
        found = [card for place in places for card in cards(scores[place], listed[place], heard, keys)]
        views.append(
            ModeView(
                mode,
                tuple(reasons.get(mode, ())),
                headline(own, rows),
                tables(own, rows, notes),
                tuple(notes),
                tuple(detail(scores[place], anchor(scores[place]), len(listed[place])) for place in places),
                compared(own),
                tuple(found),
            )
        )
    remarks = (*_missing(num_missing), *info.remarks)
    return Page(Path(info.model).name or info.model, _tiles(info, scores, rows), _facts(info), remarks, tuple(views))


def recordings_of(page: Page) -> dict[str, Player]:
    """The players that the cards of a page name."""
    return {card.recording: card.player for mode in page.modes for card in mode.cards if card.recording and card.player}


def _missing(num_missing: int) -> tuple[str, ...]:
    if not num_missing:
        return ()
    have = "sample has" if num_missing == 1 else "samples have"
    return (f"A part only: {num_missing:,} {have} no answer yet; start `auricle eval run` again.",)


def _tiles(info: RunInfo, scores: Sequence[RowScores], rows: Mapping[str, Row]) -> tuple[tuple[str, str], ...]:
    first = [row for row in scores if row.mode == scores[0].mode]
    own = [row for row in first if row.row not in rows or not rows[row.row].mean_of]  # a mean has no answers of its own
    num_samples, audio_s = sum(row.num_samples for row in own), sum(row.audio_s for row in own)
    tiles = [("rows", f"{len(first):,}"), ("answers", f"{num_samples:,}"), ("hours of audio", f"{audio_s / 3600:,.1f}")]
    if info.took_s > 0:
        tiles.append(("audio seconds per second", f"{info.audio_s / info.took_s:,.1f}"))
    return tuple(tiles)


def _facts(info: RunInfo) -> tuple[tuple[str, str], ...]:
    facts = [
        ("Model", info.model),
        ("Hash", info.model_hash),
        ("Engine", info.engine),
        ("Precision", info.dtype),
        ("Prompt", _PROMPT_FORMS[info.prompt_form]),
        ("Sampling", sampling_words(info.sampling)),
        ("Started", info.started),
        ("Machine", info.machine),
        ("Versions", ", ".join(f"{package} {version}" for package, version in info.versions)),
    ]
    if info.limit is not None:
        facts.insert(6, ("Limit", f"{info.limit:,} samples of each source"))
    if info.took_s > 0:
        facts.append(("Took", f"{_time(info.took_s)} for {_time(info.audio_s)} of audio"))
    return tuple((name, value) for name, value in facts if value)


def sampling_words(sampling: Sampling) -> str:
    """What decides the next token: `greedy, at most 256 new tokens`."""
    if sampling.num_beams > 1:
        how = f"beam search, {sampling.num_beams} beams, length penalty {sampling.length_penalty:g}"
    elif sampling.temperature == 0:
        how = "greedy"
    else:
        how = f"sampled, temperature {sampling.temperature:g}"
    usual = Sampling()
    others = [
        f"{name.replace('_', ' ')} {getattr(sampling, name):g}"
        for name in ("top_k", "top_p", "min_p", "repetition_penalty", "min_new_tokens")
        if getattr(sampling, name) != getattr(usual, name)
    ]
    if sampling.seed is not None:
        others.append(f"seed {sampling.seed}")
    if sampling.stop:
        others.append(f"stops at {', '.join(map(repr, sampling.stop))}")
    return ", ".join([how, *others, f"at most {sampling.max_new_tokens} new tokens"])


def _time(seconds: float) -> str:
    """In the unit that suits it."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"
