"""The asking itself, in this process or in several: every answer is kept at once, and told of."""

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from auricle.content_cache import ContentCache
from auricle.errors import UserError
from auricle.evaluate.machine import cores_each
from auricle.evaluate.opener import Opener
from auricle.evaluate.sample import Answered, Sample

Work = Sequence[tuple[str, Sample]]
"""Samples with the keys of their answers, in the order in which they are asked."""

_PATIENCE_S = 10.0  # for a process that was told to end


@dataclass(frozen=True, slots=True)
class Ready:
    """A process has its model."""


@dataclass(frozen=True, slots=True)
class Done:
    """One sample that was asked, with the length of its recording, and why it has no answer if it has none."""

    key: str
    sample: Sample
    failure: str | None


Event = Ready | Done


def ask(work: Work, opener: Opener, answers: Path, *, place: int = 0, num_processes: int = 1) -> Iterator[Event]:
    """Open the model and ask for everything; each answer is on disk before it is told of.

    Args:
        work: none of it answered yet.
        opener: of the model.
        answers: the cache that answers enter.
        place: which of several processes this is.
        num_processes: how many there are.

    Raises:
        UserError: as `Opener.open` and `Answerer.answer`.
    """
    answerer = opener.open(place, num_processes)
    yield Ready()
    cache = ContentCache(answers)
    try:
        answered = answerer.answer([sample for _, sample in work])
        for (key, _), one in zip(work, answered, strict=True):
            if one.failure is None:
                cache.put({key: to_json(one)})
            yield Done(key, one.sample, one.failure)
    finally:
        cache.close()


def to_json(answered: Answered) -> str:
    """An answer as the cache keeps it; the sample is found by the key."""
    kept = {
        "text": answered.text,
        "num_tokens": answered.num_tokens,
        "finish_reason": answered.finish_reason,
        "duration_s": answered.sample.duration_s,
    }
    return json.dumps(kept)  # ASCII: a server may send half a character


def ask_in_processes(work: Work, opener: Opener, answers: Path, *, num_processes: int) -> Iterator[Event]:
    """`ask` in so many processes, each with a model of its own; every one takes each Nth sample.

    However it ends, so do the processes; should this one be killed, they see it and end too.

    Raises:
        UserError: as `ask`, or a process died; what was answered before is kept.
    """
    context = multiprocessing.get_context("spawn")
    running: dict[Connection, BaseProcess] = {}
    try:
        with _interrupts_held():  # which the processes inherit: Ctrl-C is this one's affair, which then ends them
            for place in range(num_processes):
                ours, theirs = context.Pipe(duplex=False)
                arguments = (theirs, work[place::num_processes], opener, answers, place, num_processes)
                running[ours] = context.Process(target=_answer, args=arguments, name=f"auricle-{place}")
                running[ours].start()
                theirs.close()
        yield from _told(dict(running), num_processes)
    finally:
        _end(list(running.values()))


def _told(running: dict[Connection, BaseProcess], num_processes: int) -> Iterator[Event]:
    """What the processes tell, until all have ended."""
    while running:
        ready = set(wait(list(running)))
        for connection in [one for one in running if one in ready]:
            try:
                event = connection.recv()
            except EOFError:
                process = running.pop(connection)
                process.join()
                if process.exitcode:
                    raise _died(process.exitcode, num_processes) from None
                continue
            if isinstance(event, UserError):
                raise event
            yield event


def _answer(connection: Connection, work: Work, opener: Opener, answers: Path, place: int, num_processes: int) -> None:
    """The life of one process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _share_cores(num_processes)
    try:
        for event in ask(work, opener, answers, place=place, num_processes=num_processes):
            connection.send(event)
    except UserError as error:
        connection.send(error)
    finally:
        connection.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _share_cores(num_processes: int) -> None:
    """An equal part of the cores for the arithmetic of each process, and no more than the user allows all."""
    import torch

    threads = min(torch.get_num_threads(), cores_each(num_processes))
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by libraries that come later, such as CTranslate2


def _end(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_PATIENCE_S)
        if process.is_alive():
            process.kill()
            process.join()


def _died(exit_code: int, num_processes: int) -> UserError:
    how = f"was ended by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"failed with code {exit_code}"
    return UserError(
        f"one of {num_processes} answering processes {how}; the answers so far are kept: start the same command again, "
        "with fewer processes or a smaller --batch-size where memory was short"
    )


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until the block is over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
