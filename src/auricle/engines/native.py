"""Our own model on one device."""

from collections.abc import Iterable, Iterator
from itertools import islice

from auricle import units
from auricle.audio import Mel, Waveform, cut_windows, log_mel
from auricle.conversation import Answer, RawPrompt, Sampling
from auricle.engines.interface import Request
from auricle.generate import generate, stream
from auricle.prepare import Prepared, collate, render, render_raw
from auricle.text import StreamDecoder
from auricle.weights import Checkpoint


class NativeEngine:
    """Batches of requests through a loaded checkpoint."""

    def __init__(self, checkpoint: Checkpoint, *, batch_size: int = 8) -> None:
        self.checkpoint = checkpoint
        self.batch_size = batch_size
        self._device = next(checkpoint.model.parameters()).device

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """One answer per request, in their order; the requests are read a batch at a time."""
        requests = iter(requests)
        while batch := list(islice(requests, self.batch_size)):
            yield from self._answer([self._prepare(request, sampling) for request in batch], sampling)

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        """The pieces of one answer, each as soon as it is certain."""
        checkpoint = self.checkpoint
        inputs = collate([self._prepare(request, sampling)], pad_id=checkpoint.pad_id).to(self._device)
        decoder = StreamDecoder(checkpoint.tokenizer)
        for step in stream(checkpoint.model, inputs, sampling, stop_ids=checkpoint.stop_ids):
            token_id = step.ids[0]
            if token_id is not None and token_id not in checkpoint.stop_ids and (piece := decoder.push(token_id)):
                yield piece
        if piece := decoder.finish():
            yield piece

    def _answer(self, batch: list[Prepared], sampling: Sampling) -> Iterator[Answer]:
        checkpoint = self.checkpoint
        inputs = collate(batch, pad_id=checkpoint.pad_id).to(self._device)
        rows = generate(checkpoint.model, inputs, sampling, stop_ids=checkpoint.stop_ids)
        for item, row in zip(batch, rows, strict=True):
            text = checkpoint.tokenizer.decode(row.ids)
            yield Answer(text, len(item.prompt.ids), len(row.ids), row.finish_reason, row.logprob)

    def _prepare(self, request: Request, sampling: Sampling) -> Prepared:
        config, tokenizer = self.checkpoint.model.config, self.checkpoint.tokenizer
        heard = [self._hear(audio, config.audio.num_mel_bins) for audio in request.audios]
        tokens = [sum(units.tokens_from_frames(mel.num_frames) for mel in mels) for mels in heard]
        if isinstance(request.prompt, RawPrompt):
            prompt = render_raw(request.prompt, tokens, tokenizer)
        else:
            prompt = render(request.prompt, tokens, tokenizer, open_turn=True)
        prompt.require_room(config.text.max_tokens, num_new=sampling.max_new_tokens)
        return Prepared(prompt, tuple(mel for mels in heard for mel in mels))

    @staticmethod
    def _hear(audio: Waveform, num_mel_bins: int) -> list[Mel]:
        return [log_mel(window, num_mel_bins=num_mel_bins) for window in cut_windows(audio)]
