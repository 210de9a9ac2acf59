"""Score a run's folder: once, until its answers or what stands beside them change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auricle.data.measured import measure_all
from auricle.data.records import Recording
from auricle.errors import UserError
from auricle.evaluate.judge_scores import judge_scores
from auricle.evaluate.judged_file import read_judgement
from auricle.evaluate.normalise import open_mode
from auricle.evaluate.normalise.interface import ModeName
from auricle.evaluate.published import Row
from auricle.evaluate.rows import rows_for
from auricle.evaluate.run_folder import RunFolder
from auricle.evaluate.sample import Answered
from auricle.evaluate.score import MODES, Beside, Other, score
from auricle.evaluate.scores import RowScores
from auricle.evaluate.scores_file import fingerprint, read_scores, write_scores

Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """against: another run's folder to compare with. snr: measure every recording's, for slices; decodes them all."""

    against: Path | None = None
    snr: bool = True


DEFAULTS = ScoreSettings()


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """A run with its scores.

    rows: the table's lines by name. reasons: what each mode does and why. num_unjudged: answers that wait for a judge.
    num_missing: samples that wait for an answer.
    """

    run: RunFolder
    scores: list[RowScores]
    rows: dict[str, Row]
    reasons: dict[ModeName, tuple[str, ...]]
    num_unjudged: int
    num_missing: int


def score_folder(path: Path, settings: ScoreSettings = DEFAULTS, *, watch: Watch | None = None) -> ScoredRun:
    """The run in a folder and its scores, read where they are there and still hold, else counted and written.

    Args:
        path: of `auricle eval run --out`.
        settings: what else is taken into account.
        watch: told how many recordings of how many are measured.

    Raises:
        UserError: no run there, no answer in it, or a library of the extra `eval` is missing.
    """
    run = RunFolder(path)
    answered = run.answered()
    if not answered:
        raise UserError(f"{path} has no answers yet; start its `auricle eval run` again")
    other = _other(settings.against, path)
    chats = _chats(answered)
    judgement = read_judgement(path, chats)
    asked = [(sample.source, sample.id, sample.reference) for sample in run.samples]
    around = repr((asked, run.info.conventions, run.info.limit, settings.snr, judgement))
    made_from = fingerprint(answered, around, *_of_other(other))
    scores = read_scores(path, answered, made_from)
    if scores is None:
        snr_db = measured_snr(answered, path / "measured.jsonl", watch) if settings.snr else {}
        beside = Beside(snr_db, run.info.limit, other, run.samples, run.info.conventions)
        scores = score(answered, beside)
        if judgement is not None and judgement.judged:
            scores += judge_scores(judgement, beside)
        write_scores(path, scores, made_from)
    rows = {row.name: row for row in rows_for(run.samples)}
    reasons = {mode: open_mode(mode, run.samples, run.info.conventions).reasons for mode in MODES}
    num_unjudged = len(chats) - len(judgement.judged if judgement else ())
    return ScoredRun(run, scores, rows, reasons, num_unjudged, len(run.samples) - len(answered))


def measured_snr(answered: Sequence[Answered], cache: Path, watch: Watch | None = None) -> dict[Path, float]:
    """The signal-to-noise ratio of every recording that can be heard, in dB, as `auricle data prepare` estimates it."""
    recordings = [Recording(item.sample.audio) for item in answered if item.failure is None]
    found = measure_all(recordings, cache, watch=watch)
    return {recording.path: measured.quality.snr_db for recording, measured in found.items() if measured.quality}


def _other(against: Path | None, path: Path) -> Other | None:
    if against is None:
        return None
    if against.resolve() == path.resolve():
        raise UserError(f"--against {against} is the run itself; give another run's folder")
    other = RunFolder(against)
    answered = other.answered()
    name = f"{against.name} ({other.info.model}, {other.info.engine})"
    return Other(name, answered, read_judgement(against, _chats(answered)))


def _of_other(other: Other | None) -> list[str]:
    return [] if other is None else [other.name, fingerprint(other.answered, repr(other.judgement))]


def _chats(answered: Sequence[Answered]) -> list[Answered]:
    return [item for item in answered if item.sample.task == "chat"]
