"""vLLM inside this process: our prompts in, token ids out, its paged cache and continuous batching between."""

import itertools
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import fsum
from pathlib import Path
from typing import Any

import torch

from auricle import units
from auricle.conversation import Answer, Sampling
from auricle.engines.interface import Request
from auricle.engines.reading import Read, Reader, draw_seed
from auricle.engines.writing import Writer
from auricle.errors import UserError

_LOWEST_TEMPERATURE = 0.01  # vLLM raises a lower one to it (vllm/sampling_params.py, _MAX_TEMP)


@dataclass(slots=True)
class _Row:
    """One request inside vLLM: its answer so far, the pieces not yet handed out, the prompt's log-probabilities."""

    read: Read
    writer: Writer
    num_top: int
    pieces: list[str] = field(default_factory=list)
    prompt_logprobs: list[Any] | None = None


class VllmEngine:
    """A plain checkpoint directory through `vllm.LLM`; threads may share it.

    A CPU build of vLLM reads the size of its cache from VLLM_CPU_KVCACHE_SPACE, in GiB.
    """

    def __init__(self, directory: Path, *, dtype: torch.dtype = torch.float32, batch_size: int = 8) -> None:
        self._reader = Reader(directory)
        self._llm = _import().LLM(
            str(directory),
            dtype=dtype,
            max_model_len=self._reader.config.text.max_tokens,
            max_num_seqs=batch_size,
            generation_config="vllm",  # none: the checkpoint's own would fill in what a request leaves out
            enforce_eager=not torch.cuda.is_available(),
            seed=secrets.randbits(31),
        )
        self._lock = threading.Lock()
        self._rows: dict[str, _Row] = {}
        self._numbers = itertools.count()
        self.defaults = self._reader.defaults
        self.batch_size = batch_size

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """One answer per request, in their order; up to twice `batch_size` requests are read ahead.

        Raises:
            UserError: a setting that vLLM understands in another way, or a request that cannot be answered; the
                answers to those before it come first.
        """
        settings = sampling_settings(sampling, self._reader.stop_ids)
        requests, indices, refused = iter(requests), itertools.count(), None
        waiting: dict[str, _Row] = {}
        try:
            while True:
                room = 2 * self.batch_size - len(waiting) if refused is None else 0
                batch, refused = self._reader.read_next(requests, room, sampling) if room else ([], refused)
                for read in batch:
                    waiting |= self._begin(read, sampling, settings, next(indices))
                if not waiting:
                    break
                first = next(iter(waiting))
                self._advance(waiting[first])
                if waiting[first].writer.ended:
                    row = waiting.pop(first)
                    yield row.writer.answer(len(row.read.prompt.ids))
        finally:
            self._give_up(waiting)
        if refused is not None:
            raise refused

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        """The pieces of one answer, each as soon as it is certain."""
        settings = sampling_settings(sampling, self._reader.stop_ids)
        rows = self._begin(self._reader.read(request, sampling), sampling, settings, 0)
        [row] = rows.values()
        try:
            while row.pieces or not row.writer.ended:
                while row.pieces:
                    yield row.pieces.pop(0)
                self._advance(row)
        finally:
            self._give_up(rows)

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """The log-probability of each text as what the model says next; the end of the answer is not part of it."""
        one = Sampling(max_new_tokens=1)
        settings = sampling_settings(one, self._reader.stop_ids) | {"prompt_logprobs": 0}
        scores = []
        for text in continuations:
            said = self._reader.tokenizer.encode(text)
            read = self._reader.read(request, Sampling(max_new_tokens=max(1, len(said))))
            [row] = self._begin(read, one, settings, 0, said=said).values()
            while not row.writer.ended:
                self._advance(row)
            places = (row.prompt_logprobs or [])[len(read.prompt.ids) :]
            scores.append(fsum(place[token_id].logprob for place, token_id in zip(places, said, strict=True)))
        return scores

    def _begin(
        self, read: Read, sampling: Sampling, settings: dict[str, Any], index: int, *, said: Sequence[int] = ()
    ) -> dict[str, _Row]:
        """Hand one request to vLLM -> its name and row."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        seed = None if sampling.seed is None else draw_seed(sampling.seed, index)
        row = _Row(read, Writer(self._reader.tokenizer, self._reader.stop_ids, sampling), sampling.logprobs or 0)
        with self._lock:
            name = str(next(self._numbers))
            self._llm.llm_engine.add_request(
                name,
                _to_prompt(read, said, self._reader.config.audio_token_id),
                SamplingParams(**settings, seed=seed, detokenize=False, output_kind=RequestOutputKind.DELTA),
            )
            self._rows[name] = row
        return {name: row}

    def _advance(self, row: _Row) -> None:
        """One step of vLLM for every request that it holds, unless another thread's step has ended this one."""
        with self._lock:
            if row.writer.ended:
                return
            for output in self._llm.llm_engine.step():
                if other := self._rows.get(output.request_id):
                    self._hear(output, other)

    def _hear(self, output: Any, row: _Row) -> None:
        said = output.outputs[0]
        if output.prompt_logprobs is not None:
            row.prompt_logprobs = output.prompt_logprobs
        for token_id, found in zip(said.token_ids, said.logprobs or (), strict=True):
            ranked = sorted(((other, one.logprob) for other, one in found.items()), key=lambda pair: -pair[1])
            if piece := row.writer.push(token_id, found[token_id].logprob, tuple(ranked[: row.num_top])):
                row.pieces.append(piece)
        if output.finished and not row.writer.ended:
            raise RuntimeError(f"vLLM gave up a request: {said.finish_reason}")
        if row.writer.ended:  # at a stop text, of which vLLM knows nothing, it would go on
            self._drop([output.request_id], abort=not output.finished)

    def _give_up(self, rows: dict[str, _Row]) -> None:
        with self._lock:
            self._drop([name for name in rows if name in self._rows], abort=True)

    def _drop(self, names: list[str], *, abort: bool) -> None:
        if abort and names:
            self._llm.llm_engine.abort_request(names)
        for name in names:
            del self._rows[name]


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


def _to_prompt(read: Read, said: Sequence[int], audio_id: int) -> dict[str, Any]:
    """vLLM repeats one placeholder for each window itself; windows of one recording stand side by side."""
    ids: list[int] = []
    end = 0
    for (start, next_end), windows in zip(read.prompt.audio_spans, read.windows, strict=True):
        ids += [*read.prompt.ids[end:start], *[audio_id] * len(windows)]
        end = next_end
    prompt: dict[str, Any] = {"prompt_token_ids": [*ids, *read.prompt.ids[end:], *said]}
    if read.windows:
        sounds = [(window.samples, units.SAMPLE_RATE) for of_one in read.windows for window in of_one]
        prompt["multi_modal_data"] = {"audio": sounds}
    return prompt


def _import() -> Any:
    try:
        import vllm
    except ImportError as error:
        raise UserError("the vllm engine needs the vLLM library; run `pip install 'auricle[vllm]'`") from error
    return vllm
