"""`chat`: a conversation on the terminal, or through a pipe, with text and recordings in turn."""

import difflib
import os
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auricle.cli.options import DecodingFlags, ModelFlags, flag_groups
from auricle.errors import UserError

if TYPE_CHECKING:
    from auricle.assistant.chat import Chat
    from auricle.audio import Waveform

HELP = """\
A line is a turn; the answer follows. A line that begins with / is a command (put a space before it if it is not):
  /audio PATH   attach a recording to the next turn; several are heard in their order;
                an empty line then sends them without a text
  /undo         take back the last recording attached, else forget the last turn
  /reset        forget all turns and what is attached
  /system TEXT  say how the model should behave from now on; without TEXT, show it
  /history      show the conversation
  /help         show this
  /exit         leave (also Ctrl-D; Ctrl-C stops an answer)"""
COMMANDS = ("/audio", "/undo", "/reset", "/system", "/history", "/help", "/exit")
_HISTORY_LINES = 1000


@flag_groups
def chat(
    model: ModelFlags,
    decoding: DecodingFlags,
    system: Annotated[str | None, typer.Option("--system", help="How the model should behave.")] = None,
    audio: Annotated[
        list[Path] | None, typer.Option("--audio", help="A recording for the first turn; may be repeated.")
    ] = None,
) -> None:
    """Talk with the model: text, recordings or both, many turns. Type /help there.

    Without a terminal every line of standard input is a turn, and its answer one line or more of standard output.
    """
    attached = [(str(path), _open(str(path))) for path in audio or []]
    assistant = model.load()
    session = Session(assistant.chat(system=system, sampling=decoding.over(assistant.defaults)))
    for path, waveform in attached:
        session.attach(path, waveform)
    with _line_editing() if session.interactive else nullcontext():
        session.run()
    if session.refused and not session.interactive:
        raise typer.Exit(2)


class Session:
    """Lines in; answers to stdout, everything else that nobody asked for to stderr."""

    def __init__(self, chat: "Chat") -> None:
        self.chat = chat
        self.interactive = sys.stdin.isatty()
        self.refused = False
        self._leaving = False
        self._attached: list[Waveform] = []
        self._prompt = "> " if self.interactive and sys.stdout.isatty() else ""

    def run(self) -> None:
        """Until /exit or the end of the input; a user's mistake costs its turn alone."""
        if self.interactive:
            _note("/help shows the commands, /audio PATH attaches a recording, Ctrl-D leaves")
        while not self._leaving and (line := self._read()) is not None:
            try:
                if line.startswith("/"):
                    self._obey(line)
                else:
                    self._take_turn(line)
            except UserError as error:
                self.refused = True
                _note(f"auricle: {error}")
        if self._attached:
            _note(f"recordings attached but never sent: {len(self._attached)}; an empty line sends them")

    def attach(self, path: str, waveform: "Waveform") -> None:
        """Keep a recording for the next turn, and say which number the model will know it by."""
        number = sum(len(turn.recordings) for turn in self.chat.turns) + len(self._attached) + 1
        self._attached.append(waveform)
        _note(f"Audio {number}: {path}, {waveform.duration_s:.1f} s")

    def _read(self) -> str | None:
        """The next line; None at the end of the input, and where Ctrl-C is typed at the prompt."""
        try:
            line = input(self._prompt)
            line.encode()  # a terminal's stray bytes are read as what no text may hold
        except UnicodeError as error:
            raise UserError("standard input is not UTF-8 text; convert it, for example with iconv") from error
        except (EOFError, KeyboardInterrupt) as error:
            if not self.interactive and isinstance(error, KeyboardInterrupt):
                raise
            if self.interactive:
                _note("")
            return None
        return line

    def _obey(self, line: str) -> None:
        command, *words = line.split(maxsplit=1)
        rest = " ".join(words).strip()
        match command:
            case "/audio":
                for path, waveform in [(path, _open(path)) for path in _paths(rest)]:
                    self.attach(path, waveform)
            case "/undo":
                self._undo()
            case "/reset":
                self.chat.reset()
                self._attached.clear()
            case "/system":
                self._system(rest)
            case "/history":
                self._show()
            case "/help":
                print(HELP, flush=True)
            case "/exit":
                self._leaving = True
            case _:
                near = difflib.get_close_matches(command, COMMANDS, n=1) or COMMANDS
                raise UserError(
                    f"unknown command {command}: expected {', '.join(near)}; put a space before a text that begins "
                    "with /"
                )

    def _take_turn(self, text: str) -> None:
        if not text.strip() and not self._attached:
            return
        num_turns, said = len(self.chat.turns), False
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answer = self.chat.say(text.strip(), self._attached)
        for warning in caught:
            _note(f"auricle: {warning.message}")
        try:
            with closing(answer):
                for piece in answer:
                    said = True
                    print(piece, end="", flush=True)
        except KeyboardInterrupt:
            if not self.interactive:
                raise
            _note(" (stopped)" if said else "stopped before a word was said; the turn is forgotten")
        finally:
            taken = len(self.chat.turns) > num_turns
            if said or taken:
                print(flush=True)
            if taken:
                self._attached.clear()

    def _undo(self) -> None:
        if self._attached:
            self._attached.pop()
        else:
            self.chat.undo()

    def _system(self, text: str) -> None:
        if text:
            self.chat.system = text
        else:
            print("the published default" if self.chat.system is None else self.chat.system, flush=True)

    def _show(self) -> None:
        number = 0
        if self.chat.system is not None:
            print(f"system: {self.chat.system}")
        for turn in self.chat.turns:
            parts = []
            for recording in turn.recordings:
                number += 1
                parts.append(f"[Audio {number}, {recording.duration_s:.1f} s]")
            print("user:", *parts, *([turn.text] if turn.text else []))
            print(f"assistant: {turn.answer}", flush=True)


def _open(path: str) -> "Waveform":
    from auricle.audio import load

    if path == "-":
        raise UserError("standard input holds the chat's lines and no recording; give a file instead of -")
    return load(path)


def _paths(typed: str) -> list[str]:
    """One path as it is, or several as a shell would read them; `~` is the home directory."""
    if not typed:
        raise UserError("no recording named; expected /audio PATH, quoted where several paths hold spaces")
    whole = os.path.expanduser(typed)
    if os.path.exists(whole):
        return [whole]
    try:
        return [os.path.expanduser(path) for path in shlex.split(typed)]
    except ValueError:  # a quote that is never closed may be an apostrophe
        return [whole]


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _line_editing() -> Iterator[None]:
    """Arrow keys, and the lines typed in earlier chats, where Python has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    file = Path(state, "auricle", "history")
    with suppress(OSError):
        readline.read_history_file(file)
    readline.set_history_length(_HISTORY_LINES)
    try:
        yield
    finally:
        with suppress(OSError):  # a chat is no worse for being forgotten
            file.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(file)
