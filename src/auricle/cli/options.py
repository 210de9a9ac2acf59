"""The flags that answering commands share: groups of them, as dataclasses that a command takes as one parameter."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from auricle.conversation import Sampling
from auricle.errors import UserError

if TYPE_CHECKING:
    from auricle.assistant import Assistant


@dataclass(frozen=True)
class ModelFlags:
    """Which model answers, and where it runs."""

    model: Annotated[str, typer.Option("--model", "-m", help="mini (embedded), a directory, or a hub id.")] = "mini"
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a hub id.")] = None
    engine: Annotated[
        str, typer.Option("--engine", help="native, transformers, vllm, or the URL of an OpenAI-compatible server.")
    ] = "native"
    dtype: Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or auto.")] = "auto"
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, mps or auto.")] = "auto"
    batch_size: Annotated[int, typer.Option("--batch-size", help="How many windows of 30 s are answered at once.")] = 8

    def load(self) -> "Assistant":
        """The assistant these flags describe."""
        import auricle

        return auricle.load(
            self.model,
            engine=self.engine,
            revision=self.revision,
            dtype=self.dtype,
            device=self.device,
            batch_size=self.batch_size,
        )


@dataclass(frozen=True)
class DecodingFlags:
    """How tokens are chosen. A flag that is not given leaves the default as it is."""

    greedy: Annotated[bool, typer.Option("--greedy", help="Always the likeliest token.")] = False
    temperature: Annotated[float | None, typer.Option(help="Sample; higher is freer. 0 is greedy.")] = None
    top_k: Annotated[int | None, typer.Option(help="Sample from so many likeliest tokens; 0 from all.")] = None
    top_p: Annotated[float | None, typer.Option(help="Sample from the fewest tokens of this probability.")] = None
    min_p: Annotated[float | None, typer.Option(help="Sample from tokens this likely, beside the likeliest.")] = None
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1: said tokens become unlikelier.")] = None
    num_beams: Annotated[int | None, typer.Option("--num-beams", "--beam-size", help="Above 1: beam search.")] = None
    length_penalty: Annotated[float | None, typer.Option(help="Of beam search: higher favours longer answers.")] = None
    stop: Annotated[list[str] | None, typer.Option(help="A text that ends the answer; may be repeated.")] = None
    min_new_tokens: Annotated[int | None, typer.Option(help="Shortest answer, in tokens.")] = None
    max_new_tokens: Annotated[int | None, typer.Option(help="Longest answer, in tokens (per window of 30 s).")] = None
    seed: Annotated[int | None, typer.Option(help="Makes sampling repeatable.")] = None

    def over(self, defaults: Sampling) -> Sampling:
        """The defaults with every given flag in its place.

        Raises:
            UserError: a flag that contradicts another, has no effect beside the others, or is out of range.
        """
        given = {name: value for name, value in vars(self).items() if value is not None and name != "greedy"}
        if self.greedy:
            self._refuse_beside_greedy()
            given["temperature"] = 0.0
            defaults = dataclasses.replace(defaults, temperature=0.0, top_k=0, top_p=1.0, min_p=0.0, num_beams=1)
        if "stop" in given:
            given["stop"] = tuple(given["stop"])
        sampling = dataclasses.replace(defaults, **given)
        for flag in ("top_k", "top_p", "min_p", "seed"):
            if flag in given and sampling.temperature == 0:
                raise UserError(
                    f"--{flag.replace('_', '-')} {given[flag]} has no effect without sampling; "
                    "add --temperature, for example 0.7"
                )
        if "length_penalty" in given and sampling.num_beams == 1:
            raise UserError("--length-penalty has no effect without beam search; add --num-beams, for example 5")
        return sampling

    def _refuse_beside_greedy(self) -> None:
        for flag in ("temperature", "top_k", "top_p", "min_p", "seed"):
            if getattr(self, flag) is not None and not (flag == "temperature" and self.temperature == 0):
                raise UserError(f"--greedy and --{flag.replace('_', '-')} contradict each other; give one of them")


def flag_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses of flags: typer sees their fields, the command gets the dataclass."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name not in groups:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))
            continue
        fields = get_type_hints(groups[parameter.name], include_extras=True)
        parameters += [
            inspect.Parameter(field.name, parameter.KEYWORD_ONLY, default=field.default, annotation=fields[field.name])
            for field in dataclasses.fields(groups[parameter.name])
        ]
    parameters.sort(key=lambda parameter: parameter.kind)

    @functools.wraps(command)
    def flattened(*args: Any, **flags: Any) -> None:
        for name, group in groups.items():
            own = [field.name for field in dataclasses.fields(group)]
            flags[name] = group(**{field: flags.pop(field) for field in own})
        command(*args, **flags)

    flattened.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flattened.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flattened
