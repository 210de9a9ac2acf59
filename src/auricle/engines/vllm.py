"""vLLM inside this process: our prompts in, token ids out, its paged cache and continuous batching between."""

import itertools
import logging
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import Any

import torch

from auricle import units
from auricle.conversation import Sampling
from auricle.engines.driver import Driver
from auricle.engines.interface import Request
from auricle.engines.reading import Read, Reader, draw_seed
from auricle.engines.service import Session
from auricle.engines.ticket import Ticket
from auricle.engines.vllm_settings import engine_arguments, read_schema, sampling_settings
from auricle.engines.writing import Writer
from auricle.errors import UserError
from auricle.generate import Token

_LOG = logging.getLogger(__name__)
_MOST_WORDS = 500  # characters of an error of vLLM's that are shown


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A request as vLLM takes it in: its prompt, and keyword arguments of `SamplingParams`."""

    read: Read
    settings: dict[str, Any]
    said: Sequence[int] = ()


@dataclass(slots=True)
class _Row:
    """One request inside vLLM, its answer so far, and the prompt's log-probabilities where it is scored."""

    prepared: _Prepared
    writer: Writer
    ticket: Ticket
    num_top: int
    prompt_logprobs: Sequence[Any] = ()


class VllmStepper:
    """A plain checkpoint directory through vLLM's engine.

    A CPU build of vLLM reads the size of its cache from VLLM_CPU_KVCACHE_SPACE, in GiB.
    """

    def __init__(
        self,
        directory: Path,
        *,
        dtype: torch.dtype = torch.float32,
        batch_size: int = 8,
        flags: Sequence[str] = (),
    ) -> None:
        """`flags` are vLLM's own, as `vllm serve` takes them; `--max-num-seqs` among them replaces `batch_size`.

        Raises:
            UserError: vLLM is not installed, or refuses its flags.
        """
        self._reader = Reader(directory)
        self._engine, self.batch_size = _start(self._reader, directory, dtype, batch_size, flags)
        self._rows: dict[str, _Row] = {}
        self._numbers = itertools.count()
        self.defaults = self._reader.defaults
        self.max_model_len: int = self._engine.model_config.max_model_len

    @property
    def num_running(self) -> int:
        """Requests that are being answered."""
        return min(len(self._rows), self.batch_size)

    @property
    def num_waiting(self) -> int:
        """Requests that wait for room inside vLLM."""
        return len(self._rows) - self.num_running

    def prepare(self, request: Request, sampling: Sampling) -> _Prepared:
        """The prompt in ids and the settings in vLLM's words.

        Raises:
            UserError: a setting that vLLM understands in another way, or a request that cannot be answered.
        """
        settings = sampling_settings(sampling, self._reader.stop_ids)
        if read_schema(sampling) is not None:
            from vllm.sampling_params import StructuredOutputsParams

            settings["structured_outputs"] = StructuredOutputsParams(json=sampling.json_schema)
        read = self._reader.read(request, sampling)
        read.prompt.require_room(self.max_model_len, num_new=sampling.max_new_tokens)
        return _Prepared(read, settings)

    def add(self, prepared: _Prepared, sampling: Sampling, index: int, ticket: Ticket) -> None:
        """Hand one request to vLLM; where it refuses it, such as for its JSON schema, the ticket gets its words."""
        from vllm.exceptions import VLLMClientError

        try:
            self._begin(prepared, sampling, index, ticket)
        except (VLLMClientError, ValueError) as error:
            ticket.fail(UserError(f"vLLM refuses the request: {_words(error)}; change it or use another engine"))

    def step(self) -> bool:
        """One step of vLLM; pieces and answers go into their tickets, cancelled requests are dropped.

        What fails for one request costs that request alone.
        """
        self._drop([name for name, row in self._rows.items() if row.ticket.cancelled], abort=True)
        if not self._rows:
            return False
        for output in self._engine.step():
            if row := self._rows.get(output.request_id):
                try:
                    self._hear(output, row)
                except Exception as error:
                    _LOG.exception("an answer of vLLM's could not be read")
                    self._drop([output.request_id], abort=not output.finished)
                    row.ticket.fail(error)
        return bool(self._rows)

    def abandon(self) -> None:
        """Forget every request."""
        names, self._rows = list(self._rows), {}
        with suppress(Exception):  # an engine that is dead hears nothing
            self._engine.abort_request(names)

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """The log-probability of each text as what the model says next; the end of the answer is not part of it."""
        one = Sampling(max_new_tokens=1)
        settings = sampling_settings(one, self._reader.stop_ids) | {"prompt_logprobs": 0}
        names = []
        try:
            for text in continuations:
                said = self._reader.tokenizer.encode(text)
                read = self._reader.read(request, Sampling(max_new_tokens=max(1, len(said))))
                names.append(self._begin(_Prepared(read, settings, said), one, 0, Ticket()))
            rows = [self._rows[name] for name in names]
            while not all(row.ticket.done for row in rows):
                self.step()
            for row in rows:
                row.ticket.answer()  # raises why there is none
        finally:
            self._drop([name for name in names if name in self._rows], abort=True)
        return [_score(row) for row in rows]

    def _begin(self, prepared: _Prepared, sampling: Sampling, index: int, ticket: Ticket) -> str:
        """Hand one request to vLLM -> its name."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        name = str(next(self._numbers))
        seed = None if sampling.seed is None else draw_seed(sampling.seed, index)
        self._engine.add_request(
            name,
            _to_prompt(prepared, self._reader.config.audio_token_id),
            SamplingParams(**prepared.settings, seed=seed, detokenize=False, output_kind=RequestOutputKind.DELTA),
        )
        writer = Writer(self._reader.tokenizer, self._reader.stop_ids, sampling)
        self._rows[name] = _Row(prepared, writer, ticket, sampling.logprobs or 0)
        return name

    def _hear(self, output: Any, row: _Row) -> None:
        said = output.outputs[0]
        row.prompt_logprobs = output.prompt_logprobs or row.prompt_logprobs
        for token_id, found in zip(said.token_ids, said.logprobs or (), strict=True):
            ranked = sorted(((other, one.logprob) for other, one in found.items()), key=lambda pair: -pair[1])
            token = Token(token_id, found[token_id].logprob, False, tuple(ranked[: row.num_top]))
            if piece := row.writer.write(token):
                row.ticket.push(piece)
        if output.finished and not row.writer.ended:
            raise RuntimeError(f"vLLM gave up a request: {said.finish_reason}")
        if row.writer.ended:  # at a stop text, of which vLLM knows nothing, it would go on
            self._drop([output.request_id], abort=not output.finished)
            row.ticket.finish(row.writer.answer(len(row.prepared.read.prompt.ids)))

    def _drop(self, names: list[str], *, abort: bool) -> None:
        if abort and names:
            self._engine.abort_request(names)
        for name in names:
            del self._rows[name]


class VllmEngine(Session):
    """The same behind the interface of all engines: up to twice `batch_size` requests are read ahead."""

    def __init__(
        self,
        directory: Path,
        *,
        dtype: torch.dtype = torch.float32,
        batch_size: int = 8,
    ) -> None:
        driver = Driver(VllmStepper(directory, dtype=dtype, batch_size=batch_size))
        super().__init__(driver, num_in_flight=2 * batch_size)
        weakref.finalize(self, driver.close)


def _start(
    reader: Reader, directory: Path, dtype: torch.dtype, batch_size: int, flags: Sequence[str]
) -> tuple[Any, int]:
    """vLLM's engine, and how many requests it runs at once."""
    _import()
    from vllm.exceptions import VLLMClientError
    from vllm.v1.engine.llm_engine import LLMEngine

    max_tokens = reader.config.text.max_tokens
    arguments = engine_arguments(directory, dtype=dtype, batch_size=batch_size, max_tokens=max_tokens, flags=flags)
    try:
        return LLMEngine.from_engine_args(arguments), arguments.max_num_seqs
    except (VLLMClientError, ValueError) as error:
        raise UserError(f"vLLM cannot start with {' '.join(flags) or 'this model'}: {_words(error)}") from error


def _score(row: _Row) -> float:
    """The sum over what was appended to the prompt."""
    said = row.prepared.said
    places = row.prompt_logprobs[len(row.prepared.read.prompt.ids) :]
    return fsum(place[token_id].logprob for place, token_id in zip(places, said, strict=True))


def _to_prompt(prepared: _Prepared, audio_id: int) -> dict[str, Any]:
    """vLLM repeats one placeholder for each window itself; windows of one recording stand side by side."""
    ids: list[int] = []
    end, read = 0, prepared.read
    for (start, next_end), windows in zip(read.prompt.audio_spans, read.windows, strict=True):
        ids += [*read.prompt.ids[end:start], *[audio_id] * len(windows)]
        end = next_end
    prompt: dict[str, Any] = {"prompt_token_ids": [*ids, *read.prompt.ids[end:], *prepared.said]}
    if read.windows:
        sounds = [(window.samples, units.SAMPLE_RATE) for of_one in read.windows for window in of_one]
        prompt["multi_modal_data"] = {"audio": sounds}
    return prompt


def _words(error: Exception) -> str:
    """An error of vLLM's on one line."""
    return " ".join(str(error).split())[:_MOST_WORDS] or type(error).__name__


def _import() -> Any:
    try:
        import vllm
    except ImportError as error:
        raise UserError("the vllm engine needs the vLLM library; run `pip install 'auricle[vllm]'`") from error
    return vllm
