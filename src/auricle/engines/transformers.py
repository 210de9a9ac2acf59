"""transformers' own model and decoding loops behind our prompts: a second opinion on every answer."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import fsum
from pathlib import Path
from typing import Any

import torch

from auricle import units
from auricle.conversation import Answer, Sampling
from auricle.engines.interface import Request
from auricle.engines.reading import Read, Reader, draw_seed
from auricle.engines.writing import Writer, refuse_schema
from auricle.errors import UserError
from auricle.text import Tokenizer


class TransformersEngine:
    """A plain checkpoint directory through `Qwen2AudioForConditionalGeneration.generate`.

    transformers keeps every step's logits of a batch, float32, until its last answer is done.
    """

    def __init__(
        self,
        directory: Path,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
        batch_size: int = 8,
    ) -> None:
        self._reader = Reader(directory)
        self._device = device or torch.device("cpu")
        self._model = _load(directory, dtype).to(self._device)
        self._features = _feature_extractor(self._reader.config.audio.num_mel_bins)
        self.defaults = self._reader.defaults
        self.batch_size = batch_size

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """One answer per request, in their order; the requests are read a batch at a time.

        A seeded draw answers them one by one, because rows of a batch share transformers' generator.
        """
        refuse_schema(sampling, "transformers")
        size = 1 if sampling.temperature > 0 and sampling.seed is not None else self.batch_size
        requests, index = iter(requests), 0
        while True:
            batch, refused = self._reader.read_next(requests, size, sampling)
            if batch:
                yield from self._answer(batch, sampling, index)
            if refused is not None:
                raise refused
            if not batch:
                return
            index += len(batch)

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        """The pieces of one answer, each as soon as it is certain; beam search has one piece, at its end."""
        refuse_schema(sampling, "transformers")
        read = self._reader.read(request, sampling)
        if sampling.num_beams > 1:
            return iter([text for answer in self._answer([read], sampling, 0) if (text := answer.text)])
        return self._pieces(read, sampling)

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """The log-probability of each text as what the model says next (the sum over its tokens, natural log)."""
        if not continuations:
            return []
        said = [self._reader.tokenizer.encode(text) for text in continuations]
        read = self._reader.read(request, Sampling(max_new_tokens=max(1, *map(len, said))))
        scores: list[float] = []
        for start in range(0, len(said), self.batch_size):
            scores += self._score(read, said[start : start + self.batch_size])
        return scores

    def _answer(self, batch: list[Read], sampling: Sampling, index: int) -> Iterator[Answer]:
        for read in batch:
            _refuse(read, sampling.num_beams)
        inputs = self._inputs([read.prompt.ids for read in batch], batch)
        output = self._run(inputs, sampling, index)
        num_prompt = inputs["input_ids"].shape[1]
        beams = output.get("beam_indices")
        for row, read in enumerate(batch):
            writer = Writer(self._reader.tokenizer, self._reader.stop_ids, sampling)
            for step, token_id in enumerate(output.sequences[row, num_prompt:].tolist()):
                if writer.ended:
                    break
                logprobs_V = output.logits[step][row if beams is None else int(beams[row, step])].log_softmax(dim=-1)
                top = logprobs_V.topk(sampling.logprobs or 0)
                alternatives = tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
                writer.push(token_id, logprobs_V[token_id].item(), alternatives)
            yield writer.answer(len(read.prompt.ids))

    def _run(
        self, inputs: dict[str, torch.Tensor], sampling: Sampling, index: int, tokens: "_Tokens | None" = None
    ) -> Any:
        """`generate` with every setting named, so that no generation_config of the checkpoint has a say."""
        criteria: list[Any] = [] if tokens is None else [tokens.given_up]
        if sampling.stop:
            criteria.append(_StopTexts(self._reader.tokenizer, inputs["input_ids"].shape[1], sampling.stop))
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(draw_seed(sampling.seed, index))
            return self._model.generate(
                **inputs,
                generation_config=_generation_config(sampling, sorted(self._reader.stop_ids)),
                stopping_criteria=criteria,
                streamer=tokens,
            )

    def _pieces(self, read: Read, sampling: Sampling) -> Iterator[str]:
        """transformers pushes tokens; a thread of its own turns that into an iterator."""
        inputs = self._inputs([read.prompt.ids], [read])
        tokens = _Tokens()
        thread = threading.Thread(target=tokens.fill, args=(lambda: self._run(inputs, sampling, 0, tokens),))
        thread.start()
        writer = Writer(self._reader.tokenizer, self._reader.stop_ids, sampling)
        try:
            for token_id in tokens:
                if piece := writer.push(token_id):
                    yield piece
        finally:
            tokens.abandoned.set()
            thread.join()

    def _inputs(self, rows: Sequence[Sequence[int]], heard: Sequence[Read]) -> dict[str, torch.Tensor]:
        """Left-padded ids, their mask and the mels. A row is padded with its own first id: the mask hides it from the
        model, and the repetition penalty, which ignores the mask, meets nothing that the prompt does not hold."""
        longest = max(map(len, rows))
        ids = torch.tensor([[row[0]] * (longest - len(row)) + list(row) for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        inputs = {"input_ids": ids, "attention_mask": mask}
        windows = [window.samples for read in heard for of_one in read.windows for window in of_one]
        if windows:
            mels = self._features(
                windows,
                sampling_rate=units.SAMPLE_RATE,
                padding="max_length",
                return_attention_mask=True,
                return_tensors="pt",
            )
            inputs |= {"input_features": mels["input_features"], "feature_attention_mask": mels["attention_mask"]}
        return {name: tensor.to(self._device) for name, tensor in inputs.items()}

    def _score(self, read: Read, said: list[list[int]]) -> list[float]:
        rows = [[*read.prompt.ids, *ids] for ids in said]
        inputs = self._inputs(rows, [read] * len(rows))
        longest = max(map(len, said))
        positions = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        with torch.inference_mode():
            hidden = self._model.model(**inputs, position_ids=positions).last_hidden_state[:, -longest - 1 : -1]
            logprobs = self._model.lm_head(hidden).float().log_softmax(dim=-1)
        return [
            fsum(logprobs[row, longest - len(ids) + place, token_id].item() for place, token_id in enumerate(ids))
            for row, ids in enumerate(said)
        ]


class _StopTexts:
    """transformers' question after every step: which rows [B * beams] have said a stop text?"""

    def __init__(self, tokenizer: Tokenizer, num_prompt: int, stop: tuple[str, ...]) -> None:
        self._tokenizer = tokenizer
        self._num_prompt = num_prompt
        self._stop = stop

    def __call__(self, input_ids: torch.Tensor, scores: Any) -> torch.Tensor:
        texts = [self._tokenizer.decode(ids) for ids in input_ids[:, self._num_prompt :].tolist()]
        said = [any(stop in text for stop in self._stop) for text in texts]
        return torch.tensor(said, device=input_ids.device)


class _Tokens:
    """transformers' streamer, read from another thread: token ids as they are chosen."""

    def __init__(self) -> None:
        self.abandoned = threading.Event()
        self._queue: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        self._seen_prompt = False

    def put(self, value: torch.Tensor) -> None:
        """Called by transformers: first with the whole prompt [1, prompt], then with one id [1] a step."""
        if self._seen_prompt:
            self._queue.put(int(value[0]))
        self._seen_prompt = True

    def end(self) -> None:
        """Called by transformers after the last id; `fill` says it anyway."""

    def given_up(self, input_ids: torch.Tensor, scores: Any) -> torch.Tensor:
        """A stopping criterion: every row ends once nobody listens any more."""
        return torch.full((len(input_ids),), self.abandoned.is_set(), device=input_ids.device)

    def fill(self, run: Callable[[], Any]) -> None:
        """The whole life of the thread: run, then say how it ended."""
        try:
            run()
        except BaseException as error:  # handed to the reader, who raises it
            self._queue.put(error)
        else:
            self._queue.put(None)

    def __iter__(self) -> Iterator[int]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item


def _load(directory: Path, dtype: torch.dtype) -> Any:
    transformers = _import()
    model, report = transformers.Qwen2AudioForConditionalGeneration.from_pretrained(
        directory, dtype=dtype, output_loading_info=True
    )
    if missing := sorted(report["missing_keys"]):
        raise UserError(
            f"transformers finds no {missing[0]} in {directory}; expected a plain checkpoint with its own head, "
            f"as `auricle export {directory} OUT` writes"
        )
    model.generation_config = transformers.GenerationConfig()
    return model.eval()


def _feature_extractor(num_mel_bins: int) -> Any:
    return _import().WhisperFeatureExtractor(feature_size=num_mel_bins)


def _generation_config(sampling: Sampling, stop_ids: list[int]) -> Any:
    drawn = {name: getattr(sampling, name) for name in ("temperature", "top_k", "top_p", "min_p")}
    return _import().GenerationConfig(
        do_sample=sampling.temperature > 0,
        **(drawn if sampling.temperature > 0 else {}),
        repetition_penalty=sampling.repetition_penalty,
        num_beams=sampling.num_beams,
        length_penalty=sampling.length_penalty,
        early_stopping=False,
        min_new_tokens=sampling.min_new_tokens,
        max_new_tokens=sampling.max_new_tokens,
        eos_token_id=stop_ids,
        pad_token_id=stop_ids[0],
        use_cache=True,
        output_logits=True,
        return_dict_in_generate=True,
    )


def _import() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            "the transformers engine needs the transformers library; run `pip install 'auricle[transformers]'`"
        ) from error
    return transformers


def _refuse(read: Read, num_beams: int) -> None:
    """transformers repeats each recording for the beams where it ought to repeat each row's recordings."""
    if num_beams > 1 and (num_windows := sum(map(len, read.windows))) > 1:
        raise UserError(
            f"transformers mixes up a request's recordings in a beam search: got {num_windows} windows of at most 30 s "
            f"with num_beams {num_beams}; set it to 1 or use the native engine"
        )
