"""What was measured of each recording, in parallel, and kept in a file so that a killed run goes on where it was."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from auricle.data.parallel import in_order
from auricle.data.quality import Quality, measure_quality
from auricle.data.records import Recording
from auricle.errors import UserError

Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """quality: None where it cannot be heard, and `error` says why. sound: sha256 of the samples."""

    quality: Quality | None
    sound: str = ""
    error: str = ""


def measure_all(
    recordings: Sequence[Recording], cache: Path, *, num_threads: int | None = None, watch: Watch | None = None
) -> dict[Recording, Measured]:
    """Measure every recording once.

    Args:
        recordings: those that are equal count once.
        cache: a file of JSON lines, made where there is none; a line is added as soon as a recording is measured. A
            recording whose file has another size or time of change since is measured again.
        num_threads: None for one per core.
        watch: told how many of how many are done.

    Raises:
        UserError: the cache cannot be written.
    """
    unique = list(dict.fromkeys(recordings))
    keys = [_key(recording) for recording in unique]
    try:
        known = _read(cache)
        waiting = [place for place, key in enumerate(keys) if key not in known]
        with cache.open("a", encoding="utf-8") as file:
            file.write("\n")  # ends a line that a kill cut short
            found = in_order(lambda number: _measure(unique[waiting[number]]), len(waiting), num_threads)
            for number, (place, measured) in enumerate(zip(waiting, found, strict=True), start=1):
                known[keys[place]] = measured
                if not measured.error:  # what cannot be heard now may be mended when it is asked again
                    print(json.dumps({"key": keys[place]} | asdict(measured)), file=file, flush=True)
                if watch is not None:
                    watch(len(unique) - len(waiting) + number, len(unique))
    except OSError as error:
        raise UserError(f"cannot write {cache}: {error.strerror}; make room, or give another --out") from error
    return {recording: known[key] for recording, key in zip(unique, keys, strict=True)}


def _measure(recording: Recording) -> Measured:
    try:
        waveform = recording.load()
    except (UserError, OSError) as error:
        return Measured(None, error=str(error))
    return Measured(measure_quality(waveform), hashlib.sha256(waveform.samples.tobytes()).hexdigest())


def _key(recording: Recording) -> str:
    try:
        stat = recording.path.stat()
        state = f"{stat.st_size} {stat.st_mtime_ns}"
    except OSError:
        state = "missing"
    named = f"{recording.path.absolute()}\n{recording.offset} {recording.num_bytes}\n{state}"
    return hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()


def _read(cache: Path) -> dict[str, Measured]:
    """What is known; lines that are no whole JSON or of another shape are passed over."""
    known = {}
    if cache.exists():
        with cache.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    fields = json.loads(line)
                    known[fields["key"]] = Measured(Quality(**fields["quality"]), fields["sound"])
                except (ValueError, TypeError, KeyError):
                    continue
    return known
