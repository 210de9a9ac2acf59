"""`transcribe`, `translate` and `ask`: what they take, and how their results are printed."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auricle.cli.options import DecodingFlags, ModelFlags, flag_groups
from auricle.conversation import Audio, RawPrompt, Sampling
from auricle.errors import UserError

if TYPE_CHECKING:
    from auricle.assistant import Fallback, Result, Segment, Watch
    from auricle.audio import Source, VoiceActivity

Files = Annotated[
    list[str],
    typer.Argument(help="Recordings: any format FFmpeg decodes; - is standard input.", show_default=False),
]
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:/")  # of a web page or a camera
Json = Annotated[bool, typer.Option("--json", help="One JSON object per recording and line.")]


@dataclass(frozen=True)
class WindowFlags:
    """Where recordings are cut, and what happens to a window that came out as a loop."""

    initial_prompt: Annotated[str, typer.Option(help="Text before every window: names, spellings.")] = ""
    window_s: Annotated[float, typer.Option("--window", help="Longest window, 1 to 30 s; one segment each.")] = 30.0
    no_vad: Annotated[
        bool, typer.Option("--no-vad", help="Hear silence too, cut at quiet points, not at pauses of speech.")
    ] = False
    vad_threshold: Annotated[
        float | None, typer.Option(help="Speech begins at this probability: 0.3; noise may need more.")
    ] = None
    min_silence_s: Annotated[
        float | None, typer.Option("--min-silence", help="Shortest pause between two segments: 0.5 s.")
    ] = None
    no_fallback: Annotated[bool, typer.Option("--no-fallback", help="Never try a looping window again.")] = False
    compression_ratio_threshold: Annotated[
        float | None, typer.Option(help="A text that zlib shrinks more than this (2.4) is a loop, and is tried again.")
    ] = None
    logprob_threshold: Annotated[
        float | None, typer.Option(help="Try again below this average log-probability per token, for example -1.")
    ] = None

    def voice(self) -> "VoiceActivity | None":
        """What counts as speech; None hears everything."""
        from auricle.audio import VoiceActivity

        given = {"threshold": self.vad_threshold, "min_silence_s": self.min_silence_s}
        changed = {name: value for name, value in given.items() if value is not None}
        if not self.no_vad:
            return VoiceActivity(**changed)
        if changed:
            raise UserError(
                "--no-vad looks for no speech, so --vad-threshold and --min-silence have no effect; leave it out"
            )
        return None

    def fallback(self) -> "Fallback":
        """When a window is tried again."""
        from auricle.assistant import NO_FALLBACK, Fallback

        ratio, logprob = self.compression_ratio_threshold, self.logprob_threshold
        if self.no_fallback:
            if (ratio, logprob) != (None, None):
                raise UserError(
                    "--no-fallback tries nothing again, so no threshold has an effect; leave one of them out"
                )
            return NO_FALLBACK
        return Fallback(min_logprob=logprob) if ratio is None else Fallback(max_compression=ratio, min_logprob=logprob)


@dataclass(frozen=True)
class OutputFlags:
    """Where transcripts go and in which form."""

    format: Annotated[str, typer.Option("--format", "-f", help="txt, srt, vtt, tsv, json or all.")] = "txt"
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", help="Write files there; without it, print.")
    ] = None
    as_json: Json = False
    max_line_width: Annotated[int | None, typer.Option(help="Columns in a line of a subtitle: 42.")] = None
    max_line_count: Annotated[int | None, typer.Option(help="Lines in a subtitle: 2.")] = None

    def __post_init__(self) -> None:
        if self.as_json and (self.output_dir or self.format != "txt"):
            raise UserError(
                "--json prints lines of JSON, --format and --output-dir write transcripts; give one of them"
            )
        if self._layout() and self.format in ("txt", "tsv", "json"):
            raise UserError(
                "--max-line-width and --max-line-count lay out subtitles, of which there are none; add --format srt or "
                "vtt, or leave them out"
            )

    def _layout(self) -> dict[str, int]:
        sizes = {"max_line_width": self.max_line_width, "max_line_count": self.max_line_count}
        return {name: size for name, size in sizes.items() if size is not None}

    def printer(self, num_files: int) -> Callable[["Result"], None]:
        """What prints or writes one result; a form or a place that cannot be is refused at once."""
        from auricle.assistant import Layout, Writer, check_format, render_format

        if self.as_json:
            return _print_json
        if self.output_dir is None and self.format == "txt":
            return partial(_print_text, named=num_files > 1)
        layout = Layout(**self._layout())
        if self.output_dir is None and self.format != "all" and "," not in self.format:
            check_format(self.format)
            return lambda result: print(render_format(result, self.format, layout), end="", flush=True)
        writer = Writer(self.output_dir or Path(), self.format, layout)  # several formats are several files
        return lambda result: print(*writer.write(result), sep="\n", flush=True)


@flag_groups
def transcribe(
    files: Files,
    model: ModelFlags,
    decoding: DecodingFlags,
    windows: WindowFlags,
    output: OutputFlags,
    language: Annotated[str, typer.Option("--language", "-l", help="ISO code such as en, a name, or auto.")] = "en",
) -> None:
    """Write down what is said in recordings of any length."""
    sources, sampling, fallback = _sources(files), decoding.over(Sampling()), windows.fallback()
    voice = windows.voice()
    show = output.printer(len(files))
    assistant = model.load()
    with _watching() as watch:
        results = assistant.transcribe_each(
            sources,
            language=language,
            initial_prompt=windows.initial_prompt,
            sampling=sampling,
            fallback=fallback,
            voice=voice,
            window_s=windows.window_s,
            watch=watch,
        )
        for result in results:
            show(result)


@flag_groups
def translate(
    files: Files,
    model: ModelFlags,
    decoding: DecodingFlags,
    windows: WindowFlags,
    output: OutputFlags,
    to: Annotated[str, typer.Option("--to", help="The language to write: German or de.", show_default=False)],
    language: Annotated[str, typer.Option("--language", "-l", help="The language spoken, or auto.")] = "auto",
) -> None:
    """Translate what is said in recordings of any length."""
    sources, sampling, fallback = _sources(files), decoding.over(Sampling()), windows.fallback()
    voice = windows.voice()
    show = output.printer(len(files))
    assistant = model.load()
    with _watching() as watch:
        results = assistant.translate_each(
            sources,
            to=to,
            language=language,
            initial_prompt=windows.initial_prompt,
            sampling=sampling,
            fallback=fallback,
            voice=voice,
            window_s=windows.window_s,
            watch=watch,
        )
        for result in results:
            show(result)


@flag_groups
def ask(
    question: Annotated[str, typer.Argument(help="What to ask.", show_default=False)],
    model: ModelFlags,
    decoding: DecodingFlags,
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Recordings, - for standard input; none asks in text.", show_default=False),
    ] = None,
    together: Annotated[bool, typer.Option("--together", help="One question about all recordings at once.")] = False,
    system: Annotated[str | None, typer.Option("--system", help="How the model should behave.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The question is a raw prompt, as base models want it.")] = False,
    as_json: Json = False,
) -> None:
    """Ask about each recording, about all together, or in text alone."""
    if raw and system is not None:
        raise UserError("--raw has no turns, so --system has no place in it; leave one of them out")
    sources = _sources(files or [])
    from auricle.assistant import question_about

    assistant = model.load()
    sampling = decoding.over(assistant.defaults)
    groups = [sources] if together or not sources else [[source] for source in sources]
    prompts = [
        RawPrompt((*[Audio()] * len(group), question)) if raw else question_about(question, len(group), system)
        for group in groups
    ]
    if len(groups) == 1 and not as_json:
        for piece in assistant.stream(prompts[0], *groups[0], sampling=sampling):
            print(piece, end="", flush=True)
        print()
        return
    with _watching() as watch:
        requests = zip(prompts, groups, strict=True)
        for result in assistant.answer_each(requests, sampling=sampling, watch=watch):
            if as_json:
                _print_json(result)
            else:
                _print_text(result, named=True)


def _sources(files: list[str]) -> list["Source"]:
    """Complain about missing files before a model is loaded; whatever else is wrong, `audio` says."""
    if files.count("-") > 1:
        raise UserError(f"standard input can be heard once: got - {files.count('-')} times; name it once")
    for file in files:
        if file == "-" or _ADDRESS.match(file):
            continue
        try:
            os.stat(file)
        except PermissionError:
            continue
        except (OSError, ValueError):  # ValueError: a name that no system could hold
            raise UserError(f"no such file: {file}; check the path") from None
    return list(files)


def _print_json(result: "Result") -> None:
    print(json.dumps(asdict(result), ensure_ascii=False), flush=True)


def _print_text(result: "Result", *, named: bool) -> None:
    print(f"{result.path}: {result.text}" if named else result.text, flush=True)


@contextmanager
def _watching() -> Iterator["Watch"]:
    """Progress on a terminal's stderr; a recording that cannot be heard is named there, and the others go on."""
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    from auricle.assistant import Watch

    spinner = Spinner("dots", Text("listening"))
    progress = Live(
        spinner,
        console=Console(stderr=True),
        refresh_per_second=12.5,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else what is printed would follow the spinner to stderr
    )
    refused: list[UserError] = []

    def note_refused(path: str | None, error: UserError) -> None:
        refused.append(error)
        print("auricle:", *str(error).splitlines(), file=sys.stderr, flush=True)

    with progress:

        def note_segment(path: str | None, segment: "Segment") -> None:
            minutes, seconds = divmod(int(segment.end_s), 60)
            spinner.update(text=Text(f"{path or 'the recording'}: {minutes}:{seconds:02} heard"))

        yield Watch(segment=note_segment, refused=note_refused)
    if refused:
        raise typer.Exit(2)
