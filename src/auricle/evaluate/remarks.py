"""What is unlike the published procedure in a run, or moves scores elsewhere, and how it is handled here."""

from collections.abc import Sequence

from auricle import units
from auricle.engines import ENGINES
from auricle.evaluate.opener import Identity, is_url
from auricle.evaluate.sample import Sample

_VLLM = (
    "Repetition penalty: where a request has no settings of its own vLLM takes those of the checkpoint's "
    "generation_config.json, a repetition penalty among them; this run opens vLLM with generation_config='vllm' and "
    "sends every setting.",
    "16 tokens: an answer ends there by vLLM's SamplingParams unless they say otherwise; this run sends max_tokens.",
    "Placeholders: where the recording's place is missing or bare in the prompt, vLLM refuses it or the model reads "
    "another prompt; this run sends the token ids that the native engine reads, one place for each window.",
    "30 s: vLLM's processor cuts a recording there without a word; this run hands it all of it, in windows of at most "
    "30 s that stand one after another in the prompt.",
)
_SERVER = (
    "Prompts: a server renders its own chat template, and the raw prompt of the base model cannot be sent; the system "
    "message of the published template is sent along.",
    "Repetition penalty: a server fills what a request leaves out from the checkpoint's generation_config.json, a "
    "repetition penalty among it; this run sends every setting to vLLM and Auricle. Other servers know OpenAI's "
    "settings only.",
    "Length: without max_tokens an answer goes on to the end of the context, or ends after 16 tokens; this run sends "
    "it.",
    "30 s: a server may cut a recording there without a word; this run refuses longer ones, which count as failed, "
    "unless the server is Auricle's own.",
)


def remarks(who: Identity, samples: Sequence[Sample]) -> tuple[str, ...]:
    """Sentences for `RunInfo.remarks`."""
    found = list(_VLLM if who.engine == "vllm" else _SERVER if is_url(who.engine) else ())
    num_long = sum((sample.duration_s or 0.0) > units.WINDOW_S for sample in samples)
    if num_long and who.engine in ENGINES:
        found.append(
            f"{num_long:,} recordings are longer than 30 s: all of each is heard, window by window; the published "
            "scripts hear the first 30 s."
        )
    if who.dtype == "bfloat16":
        found.append("In bfloat16 an answer may change with the batch it is in: sums are rounded in another order.")
    if who.sampling.temperature > 0:
        found.append("Answers are drawn, not the likeliest: a run that was stopped and went on draws others.")
    return tuple(found)
