"""Run inside the vLLM environment: how vLLM's own parser reads flags beside our defaults.

Arguments: a model directory, and a JSON list of lists of flags. Prints a JSON list: the fields of vLLM's arguments, or
the sentence that refuses them.
"""

import json
import sys
from pathlib import Path

import torch

from auricle.engines.vllm import VllmStepper
from auricle.engines.vllm_settings import engine_arguments
from auricle.errors import UserError

FIELDS = (
    "model",
    "dtype",
    "generation_config",
    "max_model_len",
    "max_num_seqs",
    "enforce_eager",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "distributed_executor_backend",
    "gpu_memory_utilization",
    "quantization",
    "kv_cache_dtype",
)


def main() -> None:
    """See above."""
    model = Path(sys.argv[1])
    print(json.dumps([read(model, flags) for flags in json.loads(sys.argv[2])]))


def read(model: Path, flags: list[str]) -> dict[str, str] | str:
    """One list of flags; `--max-model-len` is also tried, because vLLM looks at it when it starts."""
    try:
        found = engine_arguments(model, dtype=torch.float32, batch_size=5, max_tokens=8192, flags=flags)
        if flags[:1] == ["--max-model-len"]:
            VllmStepper(model, flags=flags)
    except UserError as error:
        return str(error)
    return {name: str(getattr(found, name)) for name in FIELDS}


if __name__ == "__main__":
    main()
