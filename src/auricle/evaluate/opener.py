"""Which model answers, through which engine: who it is before it is loaded, and how each process loads it."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from auricle.conversation import Sampling
from auricle.engines import ENGINES, Engine, Request, open_engine
from auricle.engines.device import choose_device, choose_dtype
from auricle.engines.reading import Reader
from auricle.errors import UserError
from auricle.evaluate.answerer import Answerer, EngineAnswerer
from auricle.evaluate.identity import FileHashes, model_hash
from auricle.evaluate.requests import OFFICIAL, AskedForm, Form, form_of
from auricle.evaluate.sample import Sample
from auricle.weights import locate

WHISPER = "faster-whisper"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers, before anything is loaded: model, model_hash, engine, dtype and sampling as `RunInfo` says."""

    model: str
    model_hash: str
    engine: str
    dtype: str
    sampling: Sampling

    @property
    def text(self) -> str:
        """`Answerer.identity`: the model's files, and the engine and dtype that round each in their own way."""
        return f"{self.engine} {self.dtype} {self.model_hash}"


class Opener(Protocol):
    """Loads a model in any process; it can be pickled."""

    @property
    def identity(self) -> Identity:
        """Of what is loaded."""
        ...

    def form(self, sample: Sample) -> Form:
        """raw, chat, or none where the model takes no prompt."""
        ...

    def open(self, place: int, num_processes: int) -> Answerer:
        """In the process of this number, from 0, of so many."""
        ...


@dataclass(frozen=True, slots=True)
class EngineOpener:
    """native, transformers, vllm or a server; `directory` is the located checkpoint, None for a server."""

    identity: Identity
    prompt: AskedForm
    directory: Path | None
    device: str
    batch_size: int

    def form(self, sample: Sample) -> Form:
        """As asked for; `auto` goes by the sample's task."""
        return form_of(sample, self.prompt)

    def open(self, place: int, num_processes: int) -> Answerer:
        """Each process takes a GPU of its own as long as there are some.

        Raises:
            UserError: as `open_engine`.
        """
        who = self.identity
        if self.directory is None:
            engine = open_engine(who.model, engine=who.engine, batch_size=self.batch_size)
            _require_understood(engine, who.sampling)
            return self._answerer(engine, None)
        reader = Reader(self.directory)
        engine = open_engine(
            self.directory,
            engine=who.engine,
            dtype=who.dtype,
            device=_device(self.device, who.engine, place, num_processes),
            batch_size=self.batch_size,
        )
        return self._answerer(engine, lambda request: reader.read(request, who.sampling))

    def _answerer(self, engine: Engine, check: Callable[[Request], object] | None) -> Answerer:
        who = self.identity
        return EngineAnswerer(engine, identity=who.text, sampling=who.sampling, prompt=self.prompt, check=check)


def open_model(
    model: str,
    *,
    engine: str = "native",
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    batch_size: int = 8,
    prompt: AskedForm = "auto",
    sampling: Sampling = OFFICIAL,
    hashes: FileHashes | None = None,
) -> Opener:
    """Locate a model, download it first where it is a hub id, and hash its files; nothing is loaded.

    Args:
        model, engine, revision, dtype, device, batch_size: as `open_engine`.
        prompt: the form of prompts; a server takes conversations only.
        sampling: of all answers, the official settings unless given.
        hashes: where hashes are remembered.

    Raises:
        UserError: no such engine, model, device or dtype, or a prompt form that the engine does not take.
    """
    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1: got {batch_size}")
    if is_url(engine):
        if prompt == "raw":
            raise UserError(
                f"the server at {engine} takes conversations only, not the raw prompt of a base model; leave --prompt "
                "out, or use the native, transformers or vllm engine"
            )
        _require_neutral(engine, dtype=(dtype, "auto"), device=(device, "auto"), revision=(revision, None))
        found = hashlib.sha256(f"{engine.rstrip('/')}\0{model}".encode()).hexdigest()
        who = Identity(model, found, engine, "the server's", sampling)
        return EngineOpener(who, "chat", None, device, batch_size)
    if engine == WHISPER:
        from auricle.evaluate.whisper import whisper_opener  # which knows this room

        _require_neutral(engine, revision=(revision, None), prompt=(prompt, "auto"), sampling=(sampling, OFFICIAL))
        return whisper_opener(model, dtype=dtype, device=device, hashes=hashes)
    if engine not in ENGINES:
        raise UserError(f"unknown engine {engine!r}: expected {', '.join(ENGINES)}, {WHISPER} or a URL")
    numbers = str(choose_dtype(dtype, choose_device(device))).removeprefix("torch.")
    directory = locate(model, revision)
    found = model_hash(directory, hashes or FileHashes())
    return EngineOpener(Identity(model, found, engine, numbers, sampling), prompt, directory, device, batch_size)


def _require_neutral(engine: str, **options: tuple[object, object]) -> None:
    """Refuse an option that the engine would not hear."""
    for name, (got, neutral) in options.items():
        if got != neutral:
            raise UserError(f"engine {engine} chooses its own {name}: got {got!r}; leave it out")


def _require_understood(engine: Engine, sampling: Sampling) -> None:
    """Refuse settings that a server cannot be trusted with before anything is asked."""
    try:
        list(engine.generate([], sampling))
    except UserError as error:
        hint = ": --min-new-tokens 0 does so" if sampling.min_new_tokens and "min_new_tokens" in str(error) else ""
        raise UserError(f"{error}{hint}") from error


def is_url(engine: str) -> bool:
    """Whether an engine is an OpenAI-compatible server."""
    return engine.startswith(("http://", "https://"))


def _device(asked: str, engine: str, place: int, num_processes: int) -> str:
    """The GPU of one of several processes; what was asked for where there is one process, or no CUDA."""
    import torch

    if num_processes == 1 or asked not in ("auto", "cuda") or not torch.cuda.device_count():
        return asked
    number = place % torch.cuda.device_count()
    if engine == "vllm":  # which chooses its own device: the first that it sees
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = seen.split(",")[number] if seen else str(number)
        return asked
    return f"cuda:{number}"
