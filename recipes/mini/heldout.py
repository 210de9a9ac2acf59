"""How the run is doing on clips it does not train on: loss on true against shuffled sound, WER, a few outputs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from whisper_normalizer.english import EnglishTextNormalizer

from auricle.conversation import Sampling
from auricle.generate import generate
from auricle.metrics import error_rate, word_edits
from auricle.model import ModelInput, Qwen2Audio
from auricle.prepare import Prepared, Prompt, collate
from auricle.weights import Checkpoint
from clips import Clip
from examples import plain_example

ROWS = 12


class HeldOut:
    """Reports on a fixed list of clips."""

    def __init__(self, root: Path, clips: list[Clip], checkpoint: Checkpoint) -> None:
        self.clips = clips = sorted(clips, key=lambda clip: clip.duration_s)
        self.checkpoint = checkpoint
        self.true = [plain_example(root, clip, checkpoint.tokenizer) for clip in clips]
        others = clips[7:] + clips[:7]
        pairs = zip(clips, others, strict=True)
        self.shuffled = [plain_example(root, clip, checkpoint.tokenizer, heard=other) for clip, other in pairs]

    def __call__(self, loss_of: Callable, labels: Callable) -> dict[str, object]:
        """Losses, WER by source and some hypotheses of the checkpoint's model as it is now."""
        model = self.checkpoint.model
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            losses = {
                name: sum(float(loss_of(model, inputs, labels(batch))) for batch, inputs in self._batches(examples))
                / -(-len(examples) // ROWS)
                for name, examples in (("true", self.true), ("shuffled", self.shuffled))
            }
            said = [text for batch, _ in self._batches(self.true) for text in self._say(model, batch)]
        return {"held_out_loss": losses, "wer": self._wer(said), "said": said[::6]}

    def _batches(self, examples: list[Prepared]) -> Iterator[tuple[list[Prepared], ModelInput]]:
        for start in range(0, len(examples), ROWS):
            batch = examples[start : start + ROWS]
            yield batch, collate(batch, pad_id=self.checkpoint.pad_id)

    def _say(self, model: Qwen2Audio, batch: list[Prepared]) -> list[str]:
        open_prompts = [Prepared(_without_answer(item.prompt), item.mels) for item in batch]
        inputs = collate(open_prompts, pad_id=self.checkpoint.pad_id)
        rows = generate(model, inputs, Sampling(max_new_tokens=64), stop_ids=self.checkpoint.stop_ids)
        return [self.checkpoint.tokenizer.decode(row.ids) for row in rows]

    def _wer(self, said: list[str]) -> dict[str, float]:
        normal = EnglishTextNormalizer()
        found = {}
        for source in sorted({clip.source for clip in self.clips}):
            pairs = [(normal(c.text), normal(s)) for c, s in zip(self.clips, said, strict=True) if c.source == source]
            found[source] = round(error_rate([word_edits(reference, hypothesis) for reference, hypothesis in pairs]), 4)
        return found


def _without_answer(prompt: Prompt) -> Prompt:
    end = prompt.loss.index(True)
    return Prompt(prompt.ids[:end], prompt.loss[:end], prompt.audio_spans)
