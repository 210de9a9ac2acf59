"""Results as txt, srt, vtt, tsv and json, laid out as Whisper's command writes them; and the files they go to.

txt   one segment per line
srt   numbered subtitles, 00:00:01,500 --> 00:00:04,000
vtt   WebVTT, 00:01.500 --> 00:04.000, hours only where there are any; `&`, `<` and `>` escaped
tsv   start and end in milliseconds, text; one segment per line under a header
json  everything the result holds, with Whisper's names

Segments that say nothing are left out, except in json; where nobody speaks there are none. A segment is one stretch of
speech of up to 30 s: in txt, tsv and json it stays whole, with the times where it begins and ends; srt and vtt divide
it into readable subtitles whose inner times are estimates (`cut_cues`).
"""

import html
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from auricle.assistant.cues import Layout, cut_cues, one_line, whole_cues
from auricle.assistant.result import Result, Segment
from auricle.errors import UserError

FORMATS = ("txt", "srt", "vtt", "tsv", "json")
LAYOUT = Layout()
_MS_PER_H, _MS_PER_MIN, _MS_PER_S = 3_600_000, 60_000, 1000


def render_format(result: Result, format_name: str, layout: Layout = LAYOUT) -> str:
    """One result as the whole text of a file; it ends with a new line unless it is empty.

    Raises:
        UserError: another format than txt, srt, vtt, tsv or json.
    """
    segments = _segments(result)
    match format_name:
        case "txt":
            return "".join(f"{line}\n" for segment in segments if (line := one_line(segment.text)))
        case "srt":
            return _srt(segments, layout)
        case "vtt":
            return _vtt(segments, layout)
        case "tsv":
            return _tsv(segments)
        case "json":
            return json.dumps(_whisper_names(result), ensure_ascii=False, allow_nan=False) + "\n"
    raise _unknown(format_name, FORMATS)


def check_format(format_name: str) -> None:
    """Refuse, before any result is there, what `render_format` would refuse.

    Raises:
        UserError: another format than txt, srt, vtt, tsv or json.
    """
    if format_name not in FORMATS:
        raise _unknown(format_name, (*FORMATS, "all"))


class Writer:
    """Writes results into one directory, `<stem of the recording>.<format>` each.

    No file of one run overwrites another of the same run: the second recording of a stem is written as `<stem>-2`,
    the third as `<stem>-3`, in the order they come (`a/x.wav` then `b/x.mp3`: `x.srt`, `x-2.srt`); upper and lower
    case count as the same. Files of earlier runs are replaced. Bytes and arrays are called `recording`, standard
    input `stdin`.
    """

    def __init__(self, directory: str | Path, formats: str | Sequence[str], layout: Layout = LAYOUT) -> None:
        """Make the directory where there is none.

        Args:
            directory: where the files go.
            formats: one of txt, srt, vtt, tsv, json, or several, also as one text with commas; `all` is all five.
            layout: the size of subtitles.

        Raises:
            UserError: an unknown format, or a directory that cannot be made.
        """
        self._formats = _formats(formats.split(",") if isinstance(formats, str) else formats)
        self._directory = Path(directory)
        self._layout = layout
        self._taken: set[str] = set()
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f"{directory} is not a directory; expected one for the transcripts") from error
        except OSError as error:
            raise UserError(f"cannot make the directory {directory}: {error.strerror}; name another") from error

    def write(self, result: Result) -> list[Path]:
        """The files of one result, each complete or not there at all.

        Raises:
            UserError: a file cannot be written.
        """
        name = self._name(result.path)
        paths = []
        for format_name in self._formats:
            path = self._directory / f"{name}.{format_name}"
            _write_whole(path, render_format(result, format_name, self._layout))
            paths.append(path)
        return paths

    def _name(self, path: str | None) -> str:
        stem = "recording" if path is None else "stdin" if path == "-" else Path(path).stem
        name, number = stem, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.casefold())
        return name


def _formats(names: Sequence[str]) -> tuple[str, ...]:
    """The formats named, each once; `all` is every one."""
    chosen: dict[str, None] = {}
    for name in (name.strip() for name in names):
        if name != "all" and name not in FORMATS:
            raise _unknown(name, (*FORMATS, "all"))
        chosen |= dict.fromkeys(FORMATS if name == "all" else (name,))
    return tuple(chosen)


def _unknown(name: str, known: Sequence[str]) -> UserError:
    return UserError(f"unknown format {name!r}: expected one of {', '.join(known)}")


def _segments(result: Result) -> tuple[Segment, ...]:
    """A result without segments is one from end to end."""
    if result.segments:
        return result.segments
    return (Segment(0.0, result.duration_s, result.text, 0.0, result.num_tokens, 0.0, 0.0),)


def _srt(segments: Sequence[Segment], layout: Layout) -> str:
    return "".join(
        f"{number}\n{_srt_time(cue.start_ms)} --> {_srt_time(cue.end_ms)}\n{cue.text}\n\n"
        for number, cue in enumerate(cut_cues(segments, layout), 1)
    )


def _vtt(segments: Sequence[Segment], layout: Layout) -> str:
    cues = (
        f"{_vtt_time(cue.start_ms)} --> {_vtt_time(cue.end_ms)}\n{html.escape(cue.text, quote=False)}\n\n"
        for cue in cut_cues(segments, layout)
    )
    return "WEBVTT\n\n" + "".join(cues)


def _tsv(segments: Sequence[Segment]) -> str:
    rows = (f"{cue.start_ms}\t{cue.end_ms}\t{cue.text}\n" for cue in whole_cues(segments))
    return "start\tend\ttext\n" + "".join(rows)


def _srt_time(ms: int) -> str:
    return f"{ms // _MS_PER_H:02}:{_minutes(ms)},{ms % _MS_PER_S:03}"


def _vtt_time(ms: int) -> str:
    hours = f"{ms // _MS_PER_H:02}:" if ms >= _MS_PER_H else ""
    return f"{hours}{_minutes(ms)}.{ms % _MS_PER_S:03}"


def _minutes(ms: int) -> str:
    return f"{ms // _MS_PER_MIN % 60:02}:{ms // _MS_PER_S % 60:02}"


def _whisper_names(result: Result) -> dict[str, Any]:
    """Whisper's names, and our own for what it does not have; seconds to the millisecond."""
    return {
        "text": result.text,
        "segments": [
            {
                "id": place,
                "start": round(segment.start_s, 3),
                "end": round(segment.end_s, 3),
                "text": segment.text,
                "temperature": segment.temperature,
                "avg_logprob": _finite(segment.logprob),
                "compression_ratio": _finite(segment.compression_ratio),
                "no_speech_prob": None if segment.speech_probability is None else 1 - segment.speech_probability,
                "num_tokens": segment.num_tokens,
            }
            for place, segment in enumerate(result.segments)
        ],
        "language": result.language,
        "language_probability": result.language_probability,
        "duration": round(result.duration_s, 3),
        "path": result.path,
        "finish_reason": result.finish_reason,
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None  # JSON knows neither NaN nor infinity


def _write_whole(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")  # a path's stray bytes
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another --output-dir") from error
