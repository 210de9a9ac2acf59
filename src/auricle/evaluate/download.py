"""One file over http(s): continued where a kill left it, checked, tried again, and never there by half."""

import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auricle.errors import UserError
from auricle.evaluate.partial import Origin, Part, held

Watch = Callable[[int, int | None], None]
"""Told how many bytes of a file are there, and of how many; None where the server does not say."""

DELAYS_S = (1.0, 2.0, 4.0, 8.0)
_LONGEST_WAIT_S = 120.0  # that a server may ask for
_TIMEOUT_S = 60.0  # without a byte
_BLOCK_BYTES = 2**16
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # statuses that another try may find gone
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as its publisher offers it.

    name: where it lies below the folder. urls: the same bytes at several addresses, tried in turn. num_bytes, sha256,
    md5: None where the publisher says nothing; then only the server's own length can be held to.
    """

    name: str
    urls: tuple[str, ...]
    num_bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def has_checksum(self) -> bool:
        """Whether its bytes can be told from any others."""
        return bool(self.sha256 or self.md5)


def data_home() -> Path:
    """Where data sets lie, each in a folder of its name: `$AURICLE_DATA`, else `~/.cache/auricle/data`."""
    chosen = os.environ.get("AURICLE_DATA")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen).absolute() if chosen else cache / "auricle" / "data"


def fetch(file: RemoteFile, folder: Path, *, watch: Watch | None = None, delays_s: Sequence[float] = DELAYS_S) -> Path:
    """Download a file, or go on where an earlier call was cut off; one that is there already is left as it is.

    The bytes come into `NAME.part`, with what they were begun from in `NAME.part.json`, and become `NAME` when all of
    them are there and their size and checksum are right. A server that cannot continue, or whose file has changed
    since, starts it over.

    Args:
        file: what to download.
        folder: where to; made if it is not there.
        watch: told how far it is.
        delays_s: the waits before the tries after a failure; any new byte starts them over.

    Returns:
        The path of the whole file.

    Raises:
        UserError: no address gives it, what came is not what was published, there is no room, or another process is
            downloading it.
    """
    target = folder / file.name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"the file name {file.name!r} leads out of {folder}; expected one below it")
    try:
        if _is_there(target, file):
            return target
        with held(target) as part:
            if not _is_there(target, file):  # else another process was just done with it
                _download(file, part, watch or _nobody, delays_s)
                part.becomes(target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; make room, or name another folder") from error
    return target


class _PassingError(Exception):
    """What another try may find gone; wait_s: how long the server wants to be left alone."""

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.wait_s = wait_s


class _RefusedError(Exception):
    """This address will not give the file."""


def _is_there(target: Path, file: RemoteFile) -> bool:
    if not target.is_file():
        return False
    num_bytes = target.stat().st_size
    if file.num_bytes not in (None, num_bytes):
        raise UserError(
            f"{target} has {num_bytes:,} bytes, but {file.num_bytes:,} were published; delete it, and run again"
        )
    return True


def _nobody(num_bytes: int, total: int | None) -> None:
    """Watches nothing."""


def _download(file: RemoteFile, part: Part, watch: Watch, delays_s: Sequence[float]) -> None:
    """Every address in turn, until one has given the whole file."""
    problems = []
    for url in file.urls:
        try:
            return _from_address(url, file, part, watch, delays_s)
        except _RefusedError as error:
            problems.append(f"{url}: {error}")
    name = part.path.with_suffix("")
    raise UserError(
        f"cannot download {file.name}: {'; '.join(problems)}; try again later, or get it another way and put it at "
        f"{name}"
    )


def _from_address(url: str, file: RemoteFile, part: Part, watch: Watch, delays_s: Sequence[float]) -> None:
    """One address, again and again while that brings more bytes, else once after each wait."""
    waits, most = iter(delays_s), part.num_bytes
    while True:
        try:
            at_once = _request(url, file, part, watch)
            return _check(file, part, at_once=at_once)
        except _PassingError as error:
            if part.num_bytes > most:
                waits, most = iter(delays_s), part.num_bytes
            wait_s = next(waits, None)
            if wait_s is None:
                raise _RefusedError(str(error)) from error
            time.sleep(max(wait_s, error.wait_s))


def _request(url: str, file: RemoteFile, part: Part, watch: Watch) -> bool:
    """Ask for the bytes that are missing and add what comes; whether all of them came from this answer."""
    origin = part.origin()
    known = origin if origin and origin.url == url and origin.validator else None
    headers = {"User-Agent": "auricle", "Accept-Encoding": "identity"}
    if part.num_bytes and (known or file.has_checksum):  # else nothing would tell halves of different files
        if part.num_bytes == (file.num_bytes or (origin and origin.num_bytes)):
            return False
        headers["Range"] = f"bytes={part.num_bytes}-"
        if known:
            headers["If-Range"] = known.validator
    with _opened(url, headers, part) as answer:
        total = _begin(url, answer, part, known)
        if file.num_bytes and total not in (None, file.num_bytes):
            part.start_over()
            raise _RefusedError(f"offers {total:,} bytes, but {file.num_bytes:,} were published")
        total = total or file.num_bytes
        _require_room(part, total)
        _copy(answer, part, total, watch)
        return answer.status != 206


def _opened(url: str, headers: dict[str, str], part: Part) -> http.client.HTTPResponse:
    """The server's answer; what is wrong with it, or with the way there, as one of our two exceptions."""
    if not url.startswith(("http://", "https://")):
        raise _RefusedError("expected an address that begins with http:// or https://")
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:  # there is no byte behind those that we have
                part.start_over()
            elif error.code not in _PASSING:
                raise _RefusedError(f"HTTP {error.code} {error.reason}") from error
            asked = error.headers.get("Retry-After", "")
            wait_s = min(float(asked), _LONGEST_WAIT_S) if asked.isdigit() else 0.0
            raise _PassingError(f"HTTP {error.code} {error.reason}", wait_s) from error
    except urllib.error.URLError as error:
        raise _PassingError(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _PassingError(f"no answer: {error!r}") from error


def _begin(url: str, answer: http.client.HTTPResponse, part: Part, origin: Origin | None) -> int | None:
    """Start the part over where the answer does not continue it; how many bytes the whole file has."""
    etag = answer.headers.get("ETag") or ""
    validator = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified") or ""
    if answer.status == 206:
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range") or "")
        changed = origin is not None and validator not in ("", origin.validator)
        if match is None or int(match[1]) != part.num_bytes or changed:
            part.start_over()
            raise _PassingError("the answer does not continue the file")
        return int(match[2]) if match[2] != "*" else None
    length = answer.headers.get("Content-Length") or ""
    total = int(length) if length.isdigit() else None
    part.start_over(Origin(url, validator, total))
    return total


def _require_room(part: Part, total: int | None) -> None:
    missing = (total or 0) - part.num_bytes
    free = shutil.disk_usage(part.path.parent).free
    if missing > free:
        raise UserError(
            f"{part.path.with_suffix('').name} needs {missing / 1e9:.2f} GB more, but the disk of {part.path.parent} "
            f"has {free / 1e9:.2f}; free some, or name another folder"
        )


def _copy(answer: http.client.HTTPResponse, part: Part, total: int | None, watch: Watch) -> None:
    """The answer's bytes, each on disk as soon as it came."""
    watch(part.num_bytes, total)
    while block := _read(answer):
        part.append(block)
        watch(part.num_bytes, total)
    if total is not None and part.num_bytes < total:
        raise _PassingError(f"the connection ended after {part.num_bytes:,} of {total:,} bytes")


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_BLOCK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _PassingError(f"the connection broke: {error!r}") from error


def _check(file: RemoteFile, part: Part, *, at_once: bool) -> None:
    """Whether the part is what was published; one put together from several answers may have another try."""
    problem = _problem(file, part)
    if problem is None:
        return
    part.start_over()
    if at_once:
        raise _RefusedError(problem)
    raise _PassingError(problem)


def _problem(file: RemoteFile, part: Part) -> str | None:
    if file.num_bytes not in (None, part.num_bytes):
        return f"gave {part.num_bytes:,} bytes, but {file.num_bytes:,} were published"
    for algorithm, expected in (("sha256", file.sha256), ("md5", file.md5)):
        if expected and (found := part.checksum(algorithm)) != expected:
            return f"gave bytes with the {algorithm} {found}, but {expected} was published"
    return None
