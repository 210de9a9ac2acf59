"""One run: every sample is asked once, every answer is kept at once; killed and started again, it goes on."""

import signal
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from auricle.errors import UserError
from auricle.evaluate.identity import FileHashes
from auricle.evaluate.machine import machine, now, versions
from auricle.evaluate.normalise import Conventions, conventions_of
from auricle.evaluate.opener import Opener
from auricle.evaluate.processes import Done, Event, Ready, Work, ask, ask_in_processes
from auricle.evaluate.progress import Progress
from auricle.evaluate.remarks import remarks
from auricle.evaluate.requests import answer_key
from auricle.evaluate.run_folder import RunFolder, begin, locked
from auricle.evaluate.run_info import PromptForm, RunInfo
from auricle.evaluate.sample import Sample
from auricle.evaluate.tasks import limited

_NOTE_S = 10.0  # how often a run writes how far it is
_PCM_BYTES_PER_S = 32_000  # 16 bits, 16 kHz: a guess where nobody says how long a recording is
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(
    samples: Sequence[Sample],
    opener: Opener,
    out: Path,
    *,
    limit: int | None = None,
    num_processes: int = 1,
    hashes: FileHashes | None = None,
    progress: Progress | None = None,
) -> RunFolder:
    """Ask a model for an answer to every sample that has none in the folder yet.

    The longest recordings come first. SIGTERM and SIGINT end the run with an exit code of 128 and the signal's number;
    what was answered is kept.

    Args:
        samples: whole sources, each source and id once.
        opener: of the model, `open_model`.
        out: the run's folder; a new one, or one that the same settings began, of these samples or some of them.
        limit: at most so many of each source are asked, see `tasks.limited`; all unless given. What strict scoring
            must know of a source is learnt before.
        num_processes: how many load the model and answer side by side; the answers are the same.
        hashes: where hashes of recordings are remembered.
        progress: is told how it goes; open.

    Raises:
        UserError: the folder holds another run or is in use, the engine refuses, or a process died; or a limit or a
            number of processes below 1.
    """
    if num_processes < 1:
        raise UserError(f"processes must be at least 1: got {num_processes}")
    asked = samples if limit is None else limited(samples, limit)
    progress = progress or Progress.silent()
    with _ending(progress), locked(out):
        keys, failures = _keys(asked, opener, hashes or FileHashes(), progress)
        folder = begin(out, _info(asked, opener, limit, _conventions(samples)), asked, keys)
        work = sorted(folder.unanswered().items(), key=lambda item: -_length_s(item[1]))
        _Session(folder, failures, work, progress).listen(_events(work, opener, folder.answers, num_processes))
        return folder


def summary(folder: RunFolder) -> list[str]:
    """How the run stands, and what comes next."""
    info, answered = folder.info, folder.answered()
    failures = [one.failure for one in answered if one.failure is not None]
    speed = f", {info.audio_s / info.took_s:.1f} s of audio per s" if info.took_s else ""
    told = [f"{len(answered) - len(failures):,} samples answered, {len(failures):,} failed{speed}"]
    if failures:
        told.append(f"the first failure: {failures[0]}")
    if folder.num_missing:
        told.append(f"{folder.num_missing:,} samples are missing; start the same command again")
    return [_printable(line) for line in (*told, f"next: auricle eval report {folder.path}")]


def _printable(text: str) -> str:
    """Bytes of a path that are no UTF-8 as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


class _Session:
    """Counts what is told, and writes it to the folder now and then."""

    def __init__(self, folder: RunFolder, failures: dict[tuple[str, str], str], work: Work, progress: Progress) -> None:
        self._folder = folder
        self._failures = failures
        self._work = work
        self._progress = progress
        self._before = folder.info
        self._names = defaultdict[str | None, list[tuple[str, str]]](list)
        for sample, key in zip(folder.samples, folder.keys, strict=True):
            self._names[key].append((sample.source, sample.id))
        self._began: float | None = None
        self._audio_s = 0.0
        self._noted = 0.0

    def listen(self, events: Generator[Event, None, None]) -> None:
        """To the end; however that comes, the folder says how far the run is."""
        lengths = {key: _length_s(sample) for key, sample in self._work}
        self._say_what_comes(sum(lengths.values()))
        try:
            with closing(events):
                for event in events:
                    if isinstance(event, Ready):
                        self._began = self._began or time.monotonic()
                        self._progress.ready()
                    else:
                        self._hear(event, lengths[event.key])
        finally:
            self._note()
            self._folder.fail(self._failures)

    def _say_what_comes(self, length_s: float) -> None:
        num_unread = len(self._names[None])
        num_open = sum(len(self._names[key]) for key, _ in self._work)
        self._progress.begin(len(self._work), len(self._folder.samples) - num_unread - num_open, length_s)
        if num_shared := num_open - len(self._work):
            self._progress.say(f"{num_shared:,} samples ask what others ask of the same sounds and share their answers")
        if num_unread:
            self._progress.say(f"{num_unread:,} samples have a recording that cannot be read, and count as failed")

    def _hear(self, event: Done, length_s: float) -> None:
        if event.failure is None:
            self._audio_s += event.sample.duration_s or 0.0
        else:
            self._failures |= dict.fromkeys(self._names[event.key], event.failure)
        self._progress.done(length_s, event.sample.duration_s or 0.0, failed=event.failure is not None)
        if time.monotonic() - self._noted > _NOTE_S:
            self._note()

    def _note(self) -> None:
        took_s = 0.0 if self._began is None else time.monotonic() - self._began
        before = self._before
        self._folder.note(replace(before, audio_s=before.audio_s + self._audio_s, took_s=before.took_s + took_s))
        self._noted = time.monotonic()


def _events(work: Work, opener: Opener, answers: Path, num_processes: int) -> Generator[Event, None, None]:
    """Nothing is loaded where nothing is to be asked."""
    num_processes = min(num_processes, len(work))
    if num_processes > 1:
        yield from ask_in_processes(work, opener, answers, num_processes=num_processes)
    elif work:
        yield from ask(work, opener, answers)


def _keys(
    samples: Sequence[Sample], opener: Opener, hashes: FileHashes, progress: Progress
) -> tuple[list[str | None], dict[tuple[str, str], str]]:
    """The key of each sample's answer, None where its recording cannot be read; and why, by source and id."""
    found = hashes.of([sample.audio for sample in samples], lambda done: progress.hashed(done, len(samples)))
    keys: list[str | None] = []
    who = opener.identity
    failures = {}
    for sample, recording in zip(samples, found, strict=True):
        if isinstance(recording, UserError):
            keys.append(None)
            failures[sample.source, sample.id] = str(recording)
        else:
            form = opener.form(sample)
            keys.append(answer_key(sample, recording, identity=who.text, sampling=who.sampling, form=form))
    return keys, failures


def _conventions(samples: Sequence[Sample]) -> Conventions:
    """None where zhconv, which only scoring needs, is not installed."""
    try:
        return conventions_of(samples)
    except UserError:
        return ()


def _info(samples: Sequence[Sample], opener: Opener, limit: int | None, conventions: Conventions) -> RunInfo:
    who = opener.identity
    forms = {opener.form(sample) for sample in samples}
    form: PromptForm = "auto" if len(forms) > 1 else min(forms, default="raw")
    return RunInfo(
        who.model,
        who.model_hash,
        who.engine,
        who.dtype,
        form,
        who.sampling,
        limit,
        versions(who.engine),
        machine(),
        now(),
        remarks=remarks(who, samples),
        conventions=conventions,
    )


def _length_s(sample: Sample) -> float:
    """As the sample says, else guessed from its file's size; 0 where there is none."""
    if sample.duration_s is not None:
        return sample.duration_s
    try:
        return sample.audio.stat().st_size / _PCM_BYTES_PER_S
    except OSError:
        return 0.0


@contextmanager
def _ending(progress: Progress) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the block with SystemExit; a second does what it would have done without us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def end(number: int, frame: FrameType | None) -> None:
        restore()
        raise SystemExit(128 + number)

    for number in _SIGNALS:
        signal.signal(number, end)
    try:
        yield
    except SystemExit:
        progress.say("stopped; every answer so far is kept, and the same command goes on from there")
        raise
    finally:
        restore()
