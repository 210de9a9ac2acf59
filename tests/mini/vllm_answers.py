"""Run inside the vLLM environment: a pickled list of jobs in, pickled results out, all through our VllmEngine."""

import pickle
import sys
from pathlib import Path

import torch

from auricle.engines import open_engine
from auricle.errors import UserError


def main() -> None:
    """Arguments: model directory, file of jobs, file of results.

    A job is (method, arguments); a result is a list, or the sentence of the UserError that the method raised.
    """
    model, jobs, results = sys.argv[1:]
    torch.manual_seed(0)
    engine = open_engine(model, engine="vllm", dtype="float32", batch_size=16)
    answered = []
    for method, arguments in pickle.loads(Path(jobs).read_bytes()):
        try:
            answered.append(list(getattr(engine, method)(*arguments)))
        except UserError as error:
            answered.append(str(error))
    Path(results).write_bytes(pickle.dumps(answered))


if __name__ == "__main__":  # vLLM starts processes of its own, which import this file
    main()
