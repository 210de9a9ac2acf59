"""What vLLM is told: our settings in its words, its own flags as its parser reads them, and what would mean another
thing there.
"""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch

from auricle.conversation import Sampling
from auricle.errors import UserError

_LOWEST_TEMPERATURE = 0.01  # vLLM raises a lower one to it (vllm/sampling_params.py, _MAX_TEMP)
_OURS = {  # flags of vLLM that would undo what Auricle has chosen -> what to say instead
    "model": "name the model to auricle",
    "tokenizer": "the model's own is used",
    "dtype": "give --dtype to auricle",
    "revision": "give --revision to auricle",
    "generation_config": "every setting is said with every request",
    "skip_tokenizer_init": "a JSON schema needs the tokenizer",
}


def sampling_settings(sampling: Sampling, stop_ids: frozenset[int]) -> dict[str, Any]:
    """Our settings as vLLM's `SamplingParams`, none left to its defaults. The engine finds stop texts itself.

    Raises:
        UserError: a setting that means something else in vLLM.
    """
    refuse_unlike(sampling)
    return {
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "min_tokens": sampling.min_new_tokens,
        "max_tokens": sampling.max_new_tokens,
        "logprobs": sampling.logprobs or 0,
        "stop_token_ids": sorted(stop_ids),
        "ignore_eos": True,  # the tokenizer's own; those that end an answer stand above
    }


def refuse_unlike(sampling: Sampling) -> None:
    """Refuse what vLLM, in this process or behind a server, understands in another way.

    Raises:
        UserError: such a setting.
    """
    for broken, sentence in (
        (
            sampling.num_beams > 1,
            f"vLLM's beam search ranks by the prompt's length too: got num_beams {sampling.num_beams}; set it to 1 or "
            "use the native engine",
        ),
        (
            sampling.min_p > 0 and sampling.top_p < 1,
            f"vLLM applies min_p before top_p, not after it: got min_p {sampling.min_p} and top_p {sampling.top_p}; "
            "leave one of them out or use the native engine",
        ),
        (
            0 < sampling.temperature < _LOWEST_TEMPERATURE,
            f"vLLM raises a temperature below {_LOWEST_TEMPERATURE}: got {sampling.temperature}; set it to 0 or use "
            "the native engine",
        ),
    ):
        if broken:
            raise UserError(sentence)


def read_schema(sampling: Sampling) -> dict[str, Any] | None:
    """The JSON schema of an answer, where one is asked for.

    Raises:
        UserError: it is not a JSON object.
    """
    if sampling.json_schema is None:
        return None
    try:
        schema = json.loads(sampling.json_schema)
    except ValueError:
        schema = None
    if not isinstance(schema, dict):
        raise UserError(
            f"json_schema must be a JSON object: got {sampling.json_schema[:60]!r}; see https://json-schema.org"
        )
    return schema


def engine_arguments(
    directory: Path, *, dtype: torch.dtype, batch_size: int, max_tokens: int, flags: Sequence[str]
) -> Any:
    """vLLM's `EngineArgs`: our defaults, which its own flags override.

    Args:
        directory: a plain checkpoint.
        dtype: of the weights.
        batch_size: how many requests run at once.
        max_tokens: the model's context.
        flags: as `vllm serve` takes them, such as `["--tensor-parallel-size", "2"]`.

    Raises:
        UserError: a flag that vLLM does not know, or one that Auricle decides.
    """
    from vllm.engine.arg_utils import EngineArgs

    parser = EngineArgs.add_cli_args(_parser())
    parser.set_defaults(**dict.fromkeys(_OURS))
    parser.set_defaults(
        max_model_len=max_tokens,
        max_num_seqs=batch_size,
        enforce_eager=not torch.cuda.is_available(),
        seed=secrets.randbits(31),
        disable_log_stats=True,
    )
    arguments = parser.parse_args(list(flags))
    for name, instead in _OURS.items():
        if getattr(arguments, name) is not None:
            raise UserError(f"vLLM's flag --{name.replace('_', '-')} is Auricle's to give: {instead}; leave it out")
        delattr(arguments, name)  # vLLM's own default
    arguments.model = str(directory)
    arguments.dtype = dtype
    arguments.generation_config = "vllm"  # none: the checkpoint's own would fill in what a request leaves out
    return EngineArgs.from_cli_args(arguments)


def _parser() -> Any:
    """vLLM's own parser, which raises instead of ending the process."""
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UserError(f"vLLM does not take these flags: {message}; `vllm serve --help` lists its own")

    return Parser(prog="vllm", allow_abbrev=False)
