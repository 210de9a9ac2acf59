"""The `auricle` command: its subcommands, and how a user's mistake becomes one sentence and exit code 2."""

import io
import sys
import warnings
from typing import TextIO

import typer

from auricle.cli import (
    answering,
    assemble,
    bench,
    chat,
    data,
    datasets,
    evaluate,
    export,
    info,
    preferences,
    serve,
    train,
)
from auricle.errors import UserError

app = typer.Typer(
    name="auricle",
    help="Qwen2-Audio, complete: hear speech, sounds and music, answer in text.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("transcribe")(answering.transcribe)
app.command("translate")(answering.translate)
app.command("ask")(answering.ask)
app.command("chat")(chat.chat)
app.command("serve", context_settings={"allow_extra_args": True})(serve.serve)
app.command("info")(info.info)
app.command("bench")(bench.bench)
app.command("export")(export.export)
app.command("assemble")(assemble.assemble)
data.app.command("rollout")(preferences.rollout)
data.app.command("confusions")(preferences.confusions)
data.app.command("download")(datasets.download)
app.add_typer(data.app, name="data")
app.add_typer(train.app, name="train")
app.add_typer(evaluate.app, name="eval")


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from auricle import __version__

        print(__version__)
        raise typer.Exit


def _one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as a sentence, without the line of code it came from."""
    print(f"auricle: {message}", file=sys.stderr)


def main() -> None:
    """Run the command; exit codes: 0 done, 2 the user's input is wrong, 1 anything else."""
    warnings.showwarning = _one_line
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal or a file name may know fewer letters than the model
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="auricle")
    except UserError as error:
        print("auricle:", *str(error).splitlines(), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
