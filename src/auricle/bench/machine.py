"""Which machine and which versions the numbers belong to."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """load_average: of the minute before the run; above the number of busy cores others were at work."""

    cpu: str
    cores: int
    threads: int
    memory_bytes: int
    system: str
    python: str
    torch: str
    transformers: str
    auricle: str
    load_average: float


def describe_machine() -> Machine:
    """The machine this process runs on."""
    import torch

    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=version("transformers"),
        auricle=version("auricle"),
        load_average=os.getloadavg()[0],
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
