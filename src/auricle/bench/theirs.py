"""The other side: transformers' processor, model and `generate`, as its documentation uses them."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from auricle import units
from auricle.bench.sides import PROMPT
from auricle.errors import UserError

_TEXT = f"<|audio_bos|><|AUDIO|><|audio_eos|>{PROMPT}"


class Theirs:
    """A plain checkpoint directory in float32 on the CPU."""

    def __init__(self, directory: str) -> None:
        model_class, processor_class, config_class = require_transformers()
        self._processor = processor_class.from_pretrained(directory)
        self._processor.tokenizer.padding_side = "left"
        self._model = model_class.from_pretrained(directory, dtype=torch.float32).eval()
        self._model.generation_config = config_class(do_sample=False, use_cache=True)

    def hear(self, samples: np.ndarray) -> dict[str, torch.Tensor]:
        """The features of 30 s and their mask, as the processor asks its feature extractor for them."""
        extractor = self._processor.feature_extractor
        return extractor(
            samples,
            sampling_rate=extractor.sampling_rate,
            padding="max_length",
            return_attention_mask=True,
            return_tensors="pt",
        )

    def encode(self, heard: dict[str, torch.Tensor]) -> torch.Tensor:
        """Audio tokens [tokens, width]: the model's own forward, left as soon as its projector has spoken."""
        num_tokens = units.tokens_from_frames(int(heard["attention_mask"].sum()))
        ids = torch.full((1, num_tokens), self._processor.audio_token_id)
        hook = self._model.model.multi_modal_projector.register_forward_hook(_leave)
        try:
            with torch.inference_mode():
                self._model.model(
                    input_ids=ids,
                    input_features=heard["input_features"],
                    feature_attention_mask=heard["attention_mask"],
                )
        except _Projected as left:
            return left.audio[0, :num_tokens]
        finally:
            hook.remove()
        raise RuntimeError("transformers' forward has not reached its projector: an unknown version")

    def generate(self, clips: Sequence[np.ndarray], num_tokens: int) -> list[list[int]]:
        """Exactly `num_tokens` ids a recording."""
        return self._generate(clips, num_tokens, [])

    def decode_s(self, clips: Sequence[np.ndarray], num_tokens: int) -> float:
        """Seconds between the first and the last token, looked at where `generate` asks whether to stop."""
        at_s: list[float] = []

        def look(input_ids: torch.Tensor, scores: Any) -> torch.Tensor:
            at_s.append(time.perf_counter())
            return torch.zeros(len(input_ids), dtype=torch.bool)

        self._generate(clips, num_tokens, [look])
        return at_s[-1] - at_s[0]

    def text(self, ids: Sequence[int]) -> str:
        """Token ids to text."""
        return self._processor.tokenizer.decode(list(ids))

    def _generate(self, clips: Sequence[np.ndarray], num_tokens: int, criteria: list[Any]) -> list[list[int]]:
        inputs = self._processor(
            text=[_TEXT] * len(clips),
            audio=list(clips),
            sampling_rate=self._processor.feature_extractor.sampling_rate,
            return_tensors="pt",
            padding=True,
        )
        said = self._model.generate(
            **inputs,
            min_new_tokens=num_tokens,
            max_new_tokens=num_tokens,
            pad_token_id=self._processor.tokenizer.pad_token_id,
            stopping_criteria=criteria,
        )
        return said[:, inputs["input_ids"].shape[1] :].tolist()


class _Projected(Exception):  # noqa: N818  no error: the way out of a forward
    def __init__(self, audio: torch.Tensor) -> None:
        self.audio = audio


def _leave(module: torch.nn.Module, arguments: tuple[Any, ...], audio: torch.Tensor) -> None:
    raise _Projected(audio)


def require_transformers() -> tuple[Any, Any, Any]:
    """transformers' classes of the model, its processor and the settings of `generate`.

    Raises:
        UserError: transformers is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            "the benchmark needs the transformers library to compare with; run `pip install 'auricle[bench]'`"
        ) from error
    transformers.utils.logging.disable_progress_bar()
    return (
        transformers.Qwen2AudioForConditionalGeneration,
        transformers.Qwen2AudioProcessor,
        transformers.GenerationConfig,
    )
