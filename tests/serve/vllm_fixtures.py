"""vLLM on the CPU, from the environment that `make vllm` makes: inside `auricle serve`, and as a server behind it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VLLM_BIN = Path(os.environ.get("AURICLE_VLLM_BIN", ROOT / ".venv-vllm" / "bin"))
ENVIRONMENT = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "PYTHONWARNINGS": "ignore", "OPENAI_API_KEY": "none"}
CONTEXT = ("--max-model-len", "2048", "--enforce-eager")
_START_S = 600


def vllm_python() -> Path:
    """Where vLLM is installed."""
    if not (VLLM_BIN / "python").exists():
        pytest.fail(f"no vLLM environment at {VLLM_BIN.parent}: run `make vllm`")
    return VLLM_BIN / "python"


@contextmanager
def vllm_inside(model: Path, log: Path) -> Iterator[str]:
    """`auricle serve --engine vllm` -> its address."""
    flags = ["--engine", "vllm", "--model", model, "--dtype", "float32", "--no-page"]
    with _auricle(vllm_python(), log, flags, ["--", *CONTEXT, "--max-num-seqs", "4"]) as url:
        yield url


@contextmanager
def vllm_behind(url: str, log: Path) -> Iterator[str]:
    """`auricle serve --upstream URL` -> its address."""
    with _auricle(
        Path(sys.executable), log, ["--model", "mini", "--upstream", f"{url}/v1", "--no-page"], []
    ) as address:
        yield address


@contextmanager
def vllm_server(model: Path, log: Path, *flags: str) -> Iterator[str]:
    """vLLM's own server -> its address. Not `vllm serve`: that script looks for a package of the name vllm, and the
    CPU build's is vllm-cpu.
    """
    port = _free_port()
    command: list[str | Path] = [vllm_python(), "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--served-model-name", "mini"]
    with _running([*command, *CONTEXT, *flags], port, log) as url:
        yield url


@contextmanager
def _auricle(python: Path, log: Path, flags: Sequence[str | Path], rest: Sequence[str]) -> Iterator[str]:
    port = _free_port()
    command = [python, "-m", "auricle.cli.main", "serve", "--port", str(port), *flags, *rest]
    with _running(command, port, log) as url:
        yield url
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]


@contextmanager
def _running(command: Sequence[str | Path], port: int, log: Path) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=ENVIRONMENT, stdout=output, stderr=output, start_new_session=True) as server,
    ):
        try:
            _wait(server, f"{url}/health", log)
            yield url
            server.terminate()
            server.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)  # vLLM's own processes too


def _wait(server: subprocess.Popen[bytes], health: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-4000:]
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"no server after {_START_S} s: {log.read_text()[-4000:]}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
