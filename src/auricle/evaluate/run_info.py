"""What a run was made with: enough to say what its figures mean and to repeat it."""

from dataclasses import dataclass
from typing import Literal

from auricle.conversation import Sampling

PromptForm = Literal["raw", "chat", "auto", "none"]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run, over all the sessions it took.

    model: as it was asked for; model_hash: sha256 over its files, or over address and name of a server's model.
    engine: native, transformers, vllm, faster-whisper or a URL. prompt_form: the raw form of the base model, or the
    chat template; auto, where the samples of the task `chat` went through the template and the others did not; none,
    where the model takes no prompt. limit: samples per source, None for all. versions: package -> version. machine:
    in words.
    audio_s and took_s: what was answered, and the wall time of answering, over all sessions (loading apart).
    remarks: what an engine does unlike the published procedure, and how that was handled. conventions: of each source
    of transcripts, before any limit: (source, whether case counts, whether punctuation counts), for strict scoring.
    """

    model: str
    model_hash: str
    engine: str
    dtype: str
    prompt_form: PromptForm
    sampling: Sampling
    limit: int | None
    versions: tuple[tuple[str, str], ...]
    machine: str
    started: str
    audio_s: float = 0.0
    took_s: float = 0.0
    remarks: tuple[str, ...] = ()
    conventions: tuple[tuple[str, bool, bool], ...] = ()
