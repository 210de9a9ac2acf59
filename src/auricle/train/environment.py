"""What a run was started with: revision, versions, machine, command line."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("auricle", "torch", "numpy", "av", "tokenizers", "safetensors", "peft")


def describe_environment() -> dict[str, Any]:
    """Plain values for environment.json; what is not known is None."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(sys.argv),
        "directory": str(Path.cwd()),
        "git": git_revision(Path(__file__)),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "machine": {
            "system": platform.platform(),
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        },
    }


def git_revision(file: Path) -> dict[str, Any] | None:
    """The commit of the checkout that tracks a file, and whether the checkout differs from it.

    None where git is missing or does not track the file: a package installed into a virtual environment that lies in
    somebody's checkout is no part of it.
    """
    try:
        _git(file, "ls-files", "--error-unmatch", file.name)
        return {"revision": _git(file, "rev-parse", "HEAD"), "dirty": bool(_git(file, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(file: Path, *arguments: str) -> str:
    command = ["git", "-C", str(file.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()
