"""`auricle chat`: lines and commands in, answers on stdout, remarks on stderr; on a pipe and on a real terminal."""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pexpect
import pytest
from assistant.scripted import Scripted

from auricle import Sampling, UserError
from auricle.assistant.chat import Chat
from auricle.cli.chat import COMMANDS, HELP
from auricle.conversation import Audio
from auricle.engines import Request

Run = Callable[..., tuple[int, str, str]]
Noise = Callable[..., np.ndarray]
ANSWERS = ("one", "two", "three", "four")


def hears_ctrl_c() -> None:
    """In a new process: a shell that starts the tests in its background has made them deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Engine(Scripted):
    """Fails, or is interrupted, where a text says so."""

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        for piece in super().stream(request, sampling):
            if piece == "!":
                raise UserError("prompt too long")
            if piece == "^":
                raise KeyboardInterrupt
            yield piece


class Assistant:
    """Stands in for the assistant and remembers how it was loaded."""

    def __init__(self, *answers: str) -> None:
        self.engine = Engine(*answers)
        self.defaults = self.engine.defaults
        self.chats: list[Chat] = []
        self.loaded: dict[str, Any] = {}

    def load(self, model: str, **settings: Any) -> "Assistant":
        self.loaded = {"model": model} | settings
        return self

    def chat(self, **settings: Any) -> Chat:
        self.chats.append(Chat(self.engine, **settings))
        return self.chats[0]

    @property
    def asked(self) -> list[str]:
        """The last user's turn of each request, a recording shown as its length in seconds."""
        asked = []
        for request in self.engine.requests:
            lengths = iter([f"<{audio.duration_s:g}>" for audio in request.audios])
            shown = [
                "".join(next(lengths) if isinstance(part, Audio) else part for part in message.content)
                for message in request.prompt  # type: ignore[union-attr]
            ]
            asked.append(shown[-1])
        return asked


@pytest.fixture
def talk(
    run_cli: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[Assistant, int, str, str]]:
    """A scripted chat over these lines."""

    def run(
        *lines: str, answers: tuple[str, ...] = ANSWERS, flags: tuple[object, ...] = (), terminal: bool = False
    ) -> tuple[Assistant, int, str, str]:
        assistant = Assistant(*answers)
        stdin = io.StringIO("".join(f"{line}\n" for line in lines))
        monkeypatch.setattr(stdin, "isatty", lambda: terminal)
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr("auricle.assistant.load", assistant.load)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        return assistant, *run_cli("chat", *flags)

    return run


Talk = Callable[..., tuple[Assistant, int, str, str]]


def test_every_line_is_a_turn_and_every_answer_a_line(talk: Talk):
    assistant, code, out, err = talk("Hello", "", "   ", "  Who is there? ")
    assert (code, out, err) == (0, "one\ntwo\n", "")
    assert assistant.asked == ["Hello", "Who is there?"]
    assert len(assistant.engine.requests[1].prompt) == 3  # type: ignore[arg-type]


def test_recordings_join_the_next_turn(talk: Talk, recordings: list[Path]):
    first, second, third = recordings
    assistant, code, out, err = talk(
        *("Q1", f"/audio {second}", "", f"/audio {third} {second}", "Q3"), flags=("--audio", first, "--audio", third)
    )
    assert (code, out) == (0, "one\ntwo\nthree\n")
    assert assistant.asked == ["<1><4>Q1", "<2.5>", "<4><2.5>Q3"]
    assert err.splitlines() == [
        f"Audio {number}: {path}, {length} s"
        for number, (path, length) in enumerate(
            [(first, 1.0), (third, 4.0), (second, 2.5), (third, 4.0), (second, 2.5)], 1
        )
    ]


def test_paths_as_a_shell_reads_them(
    talk: Talk, recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("my song.wav", "it's.wav", "plain.wav"):
        (tmp_path / name).write_bytes(recordings[0].read_bytes())
    typed = [
        f"{tmp_path}/my song.wav",
        f"'{tmp_path}/my song.wav' ~/plain.wav",
        f"{tmp_path}/my\\ song.wav",
        f"{tmp_path}/it's.wav",
        '~/it\\\'s.wav  "/nowhere/at all.wav"',
    ]
    assistant, code, _, err = talk(*[f"/audio {paths}" for paths in typed], "Q")
    assert code == 2
    assert assistant.asked == ["<1>" * 5 + "Q"]  # of the last line's two, none
    assert err.splitlines()[-1] == "auricle: no such file: /nowhere/at all.wav; check the path"
    assert [line.split("/")[-1] for line in err.splitlines()[:-1]] == [
        *("my song.wav, 1.0 s", "my song.wav, 1.0 s", "plain.wav, 1.0 s", "my song.wav, 1.0 s"),
        "it's.wav, 1.0 s",
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/audio missing.wav", "no such file: missing.wav; check the path"),
        ("/audio 'open", "no such file: 'open; check the path"),
        ("/audio -", "standard input holds the chat's lines and no recording; give a file instead of -"),
        ("/audio", "no recording named; expected /audio PATH, quoted where several paths hold spaces"),
        (f"/audio {__file__}", "cannot decode"),
        ("/audoi x.wav", "unknown command /audoi: expected /audio; put a space before a text that begins with /"),
        ("/zzz", f"unknown command /zzz: expected {', '.join(COMMANDS)}; put a space"),
        ("/", "unknown command /: expected /audio"),
        ("/undo", "nothing to undo"),
    ],
)
def test_a_mistake_is_one_line_and_the_chat_goes_on(line: str, sentence: str, talk: Talk):
    assistant, code, out, err = talk(line, "Q")
    assert (code, out) == (2, "one\n")
    assert err.startswith(f"auricle: {sentence}")
    assert len(err.splitlines()) == 1
    assert assistant.asked == ["Q"]
    assert talk(line, terminal=True)[1] == 0


def test_a_refused_turn_is_forgotten_and_its_recordings_wait(talk: Talk, recordings: list[Path]):
    assistant, code, out, err = talk(
        *(f"/audio {recordings[0]}", "Q", "R", "S"), answers=("!", "half!", "fine", "good")
    )
    assert (code, out) == (2, "half\nfine\n")
    assert err.splitlines()[1:] == ["auricle: prompt too long"] * 2
    assert assistant.asked == ["<1>Q", "<1>R", "<1>S"]
    assert len(assistant.engine.requests[2].prompt) == 1  # type: ignore[arg-type]


def test_a_text_may_begin_with_a_slash(talk: Talk):
    assert talk(" /etc is what?")[0].asked == ["/etc is what?"]


def test_undo_takes_back_the_last_recording_attached_then_the_last_turn(talk: Talk, recordings: list[Path]):
    first, second, _ = recordings
    assistant, code, _, err = talk("P", "Q", f"/audio {first} {second}", "/undo", "/undo", "/undo", "R")
    assert code == 0
    assert len(err.splitlines()) == 2
    assert assistant.asked == ["P", "Q", "R"]
    assert [turn.text for turn in assistant.chats[0].turns] == ["P", "R"]


def test_reset_forgets_turns_and_recordings(talk: Talk, recordings: list[Path]):
    assistant, code, _, _ = talk("P", f"/audio {recordings[0]}", "/reset", "", "Q", flags=("--system", "Rhyme."))
    assert code == 0
    assert [turn.text for turn in assistant.chats[0].turns] == ["Q"]
    assert assistant.engine.requests[-1].prompt[0].content == ("Rhyme.",)  # type: ignore[index]


def test_system_history_and_help(talk: Talk, recordings: list[Path]):
    lines = [
        "/system",
        "/history",
        "Hi",
        f"/audio {recordings[1]}",
        "/system Be  brief.",
        "",
        "/system",
        "/history",
        "/help",
    ]
    assistant, code, out, _ = talk(*lines)
    assert code == 0
    assert out == (
        "the published default\none\ntwo\nBe  brief.\n"
        "system: Be  brief.\nuser: Hi\nassistant: one\nuser: [Audio 1, 2.5 s]\nassistant: two\n"
        f"{HELP}\n"
    )
    assert [message.role for message in assistant.engine.requests[1].prompt][:2] == ["system", "user"]  # type: ignore[union-attr]
    assert all(f"  {command}" in HELP for command in COMMANDS)


@pytest.mark.parametrize("line", ["/exit", "/exit "])
def test_exit_leaves_what_follows_unread(line: str, talk: Talk):
    assert talk("P", line, "Q")[1:] == (0, "one\n", "")


def test_recordings_left_behind_are_said(talk: Talk, recordings: list[Path]):
    _, code, out, err = talk(flags=("--audio", recordings[0]))
    assert (code, out) == (0, "")
    assert err.splitlines()[1:] == ["recordings attached but never sent: 1; an empty line sends them"]


def test_a_long_recording_warns_in_one_line(
    talk: Talk, tmp_path: Path, noise: Noise, encode_audio: Callable[..., bytes]
):
    path = tmp_path / "long.wav"
    path.write_bytes(encode_audio(noise(31)[None], container="wav", codec="pcm_s16le", rate=16000))
    _, code, out, err = talk(f"/audio {path}", "Q", "R")
    assert (code, out) == (0, "one\ntwo\n")
    warning = (
        "auricle: the recording lasts 31 s, beyond the 30 s that the model was trained to answer about; "
        "expect weaker answers"
    )
    assert err.splitlines()[1:] == [warning]


def test_ctrl_c_stops_an_answer_on_a_terminal(talk: Talk):
    assistant, code, out, err = talk("P", "Q", "R", answers=("on and^", "^", "on"), terminal=True)
    assert (code, out) == (0, "on and\non\n")
    stopped = [" (stopped)", "stopped before a word was said; the turn is forgotten"]
    assert err.splitlines()[1:3] == stopped
    assert [(turn.text, turn.answer) for turn in assistant.chats[0].turns] == [("P", "on and"), ("R", "on")]


def test_ctrl_c_while_a_piece_is_printed_keeps_it(talk: Talk, recordings: list[Path], monkeypatch: pytest.MonkeyPatch):
    def interrupted(*parts: object, **how: Any) -> None:
        print(*parts, **how)
        if parts == ("w",):
            raise KeyboardInterrupt

    monkeypatch.setattr("auricle.cli.chat.print", interrupted, raising=False)
    assistant, code, out, _ = talk("Q", "", answers=("two", "no"), flags=("--audio", recordings[0]), terminal=True)
    assert (code, out) == (0, "tw\n")
    assert [(turn.text, turn.answer) for turn in assistant.chats[0].turns] == [("Q", "tw")]
    assert assistant.asked == ["<1>Q"]  # the recording went with it


def test_ctrl_c_ends_a_script(talk: Talk):
    _, code, out, _ = talk("P", "Q", answers=("on and^", "on"))
    assert code != 0
    assert out == "on and\n"


def test_bytes_that_are_no_text_are_refused(talk: Talk, run_cli: Run, monkeypatch: pytest.MonkeyPatch):
    talk()
    for errors in ("strict", "surrogateescape"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\nQ\n"), "utf-8", errors=errors))
        code, out, err = run_cli("chat")
        assert (code, out) == (2, "")
        assert err == "auricle: standard input is not UTF-8 text; convert it, for example with iconv\n"


def test_flags_reach_the_model_and_the_sampling(talk: Talk):
    assistant, code, _, _ = talk("Q", flags=("--model", "some/model", "--dtype", "bfloat16", "--device", "cuda:1"))
    assert code == 0
    assert {name: assistant.loaded[name] for name in ("model", "dtype", "device", "engine")} == {
        **{"model": "some/model", "dtype": "bfloat16", "device": "cuda:1", "engine": "native"}
    }
    assert assistant.engine.samplings == [assistant.defaults]
    flags = ("--temperature", 0.5, "--top-p", 0.8, "--seed", 7, "--max-new-tokens", 99)
    assistant = talk("Q", flags=flags)[0]
    [sampling] = assistant.engine.samplings
    assert (sampling.temperature, sampling.top_p, sampling.seed, sampling.max_new_tokens) == (0.5, 0.8, 7, 99)
    assert sampling.repetition_penalty == assistant.defaults.repetition_penalty
    assert talk("Q", flags=("--greedy",))[0].engine.samplings[0].temperature == 0


def test_a_missing_recording_is_noticed_before_a_model_is_loaded(talk: Talk):
    assistant, code, out, err = talk("Q", flags=("--audio", "missing.wav"))
    assert (code, out, err) == (2, "", "auricle: no such file: missing.wav; check the path\n")
    assert assistant.loaded == {}


def test_a_pipe_with_the_tiny_model(
    run_cli: Run, checkpoint_dir: Path, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
):
    import auricle

    chat = auricle.load(checkpoint_dir, device="cpu").chat(sampling=Sampling(max_new_tokens=6))
    expected = ["".join(chat.say("Who speaks?", [recordings[0]])), "".join(chat.say("And now?"))]
    assert expected[0] != expected[1]
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"/audio {recordings[0]}\nWho speaks?\nAnd now?\n"))
    flags = ("--model", checkpoint_dir, "--device", "cpu", "--max-new-tokens", 6)
    code, out, err = run_cli("chat", *flags)
    assert (code, out) == (0, "".join(f"{answer}\n" for answer in expected))
    assert err == f"Audio 1: {recordings[0]}, 1.0 s\n"


def test_on_a_real_terminal(checkpoint_dir: Path, recordings: list[Path], tmp_path: Path):
    """Streams, stops at Ctrl-C, edits lines, remembers them for the next chat, and leaves at Ctrl-D."""
    flags = ["--model", checkpoint_dir, "--device", "cpu", "--min-new-tokens", 3000, "--max-new-tokens", 3000]
    child = pexpect.spawn(
        sys.executable,
        ["-m", "auricle.cli.main", "chat", *map(str, flags)],
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path), "TERM": "dumb", "OMP_NUM_THREADS": "1"},
        timeout=60,
        encoding="utf-8",
        preexec_fn=hears_ctrl_c,
        codec_errors="replace",
    )
    child.expect_exact("/help shows the commands")
    child.expect_exact("\n> ")
    child.sendline(f"/audio {recordings[1]}")
    child.expect_exact(f"Audio 1: {recordings[1]}, 2.5 s")
    child.expect_exact("> ")
    child.sendline("Who\x08\x08\x08How?")
    child.expect(r"How\?\r*\n")
    child.expect(".{20}")  # it streams: the answer of 3000 tokens is far from done
    child.sendintr()
    child.expect_exact("(stopped)")
    child.expect_exact("> ")
    child.sendline("/history")
    child.expect(r"user: \[Audio 1, 2\.5 s\] How\?\r\nassistant: .")
    child.expect_exact("\n> ")
    child.sendline("/exti")
    child.expect_exact("auricle: unknown command /exti: expected /exit;")
    child.expect_exact("> ")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, child.signalstatus) == (0, None)
    assert (tmp_path / "auricle" / "history").read_text().splitlines()[-4:] == [
        *(f"/audio {recordings[1]}", "How?", "/history", "/exti")
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_ctrl_c_at_the_prompt(terminal: bool, talk: Talk, monkeypatch: pytest.MonkeyPatch):
    """It leaves a terminal as Ctrl-D does, and kills a script."""

    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    _, code, out, err = talk("Q", terminal=terminal)
    assert (code == 0, out) == (terminal, "")
    assert "Traceback" not in err


@pytest.mark.slow
def test_ctrl_c_at_a_real_prompt(checkpoint_dir: Path, tmp_path: Path):
    child = pexpect.spawn(
        sys.executable,
        ["-m", "auricle.cli.main", "chat", "--model", str(checkpoint_dir), "--device", "cpu"],
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path), "TERM": "dumb", "OMP_NUM_THREADS": "1"},
        timeout=60,
        encoding="utf-8",
        preexec_fn=hears_ctrl_c,
    )
    child.expect_exact("\n> ")
    child.send("half a line")
    child.expect_exact("half a line")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert "Traceback" not in child.before
    assert (child.exitstatus, child.signalstatus) == (0, None)
