"""What `export` writes, as transformers loads it: every weight, the logits, the processor's prompts."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, AutoTokenizer, Qwen2AudioForConditionalGeneration

from auricle import units
from auricle.audio import Waveform, log_mel
from auricle.conversation import DEFAULT_SYSTEM, Audio, Message
from auricle.model import Qwen2Audio
from auricle.prepare import Prepared, collate, render
from auricle.text import Tokenizer
from auricle.weights import export_checkpoint, read_model, write_packed
from auricle.weights.config_json import config_to_json

from .reference import TOLERANCE, relative, sound

pytestmark = pytest.mark.parity

Make = Callable[..., Qwen2Audio]
Write = Callable[[Qwen2Audio, Path], Path]
CPU = torch.device("cpu")
HEAD, EMBEDDINGS = "language_model.lm_head.weight", "language_model.model.embed_tokens.weight"
KINDS = ["untied", "tied", "packed"]


@pytest.fixture(scope="module", params=KINDS)
def exported(
    request: pytest.FixtureRequest,
    tiny_model: Make,
    write_checkpoint: Write,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path]:
    """A checkpoint and its export in float32; the packed one is tied as `mini` is."""
    source = tmp_path_factory.mktemp("source") / "model"
    model = tiny_model(width=64, mlp_width=128, head_width=16, tied_head=request.param != "untied")
    write_checkpoint(model, source)
    if request.param == "packed":
        (source / "model.safetensors").unlink()
        state = dict(model.named_parameters())
        matrices = {name for name, tensor in state.items() if name.startswith("language") and tensor.ndim == 2}
        write_packed(state, dict.fromkeys(matrices, "int5"), source, max_shard_bytes=50_000)
        (source / "config.json").write_text(json.dumps(config_to_json(model.config)))
    out = tmp_path_factory.mktemp("out") / "exported"
    export_checkpoint(source, out, dtype=torch.float32)
    return source, out


@pytest.fixture(scope="module")
def theirs(exported: tuple[Path, Path]) -> Qwen2AudioForConditionalGeneration:
    model, report = Qwen2AudioForConditionalGeneration.from_pretrained(exported[1], output_loading_info=True)
    assert not any(report.values()), report
    return model.eval()


def test_every_weight_is_where_transformers_looks(
    theirs: Qwen2AudioForConditionalGeneration, exported: tuple[Path, Path]
):
    ours = read_model(exported[0], dtype=torch.float32, device=CPU)
    assert torch.equal(theirs.lm_head.weight, ours.language_model.lm_head.weight)
    assert torch.equal(theirs.get_input_embeddings().weight, ours.language_model.model.embed_tokens.weight)
    assert theirs.lm_head.weight is not theirs.get_input_embeddings().weight


def test_the_logits_are_ours(theirs: Qwen2AudioForConditionalGeneration, exported: tuple[Path, Path]):
    source, out = exported
    ours = read_model(source, dtype=torch.float32, device=CPU)
    batch = processor_batch(out, turns=2)
    prepared = our_prompt(Tokenizer.from_file(out / "tokenizer.json"), turns=2)
    with torch.inference_mode():
        reference = theirs(**batch).logits
        logits = ours(collate([prepared], pad_id=0))
    assert relative(logits, reference) < TOLERANCE
    zeroed = collate(
        [replace(prepared, mels=tuple(replace(m, features=m.features * 0) for m in prepared.mels))], pad_id=0
    )
    with torch.inference_mode():
        assert relative(ours(zeroed), reference) > 10 * TOLERANCE  # the recordings are heard


def waveforms(num_turns: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [sound(seconds, rng) for seconds in (1.01, 0.4, 0.72)[: 2 * num_turns - 1]]


def processor_batch(directory: Path, *, turns: int) -> dict[str, torch.Tensor]:
    """The prompt as the exported processor makes it: audio in every user turn, two in the second."""
    processor = AutoProcessor.from_pretrained(directory)
    audio = {"type": "audio", "audio_url": "recording.wav"}
    conversation = [
        {"role": "user", "content": [audio, {"type": "text", "text": "What is said?"}]},
        {"role": "assistant", "content": "the quick brown fox"},
        {"role": "user", "content": [audio, {"type": "text", "text": "And "}, audio]},
    ][: 2 * turns - 1]
    text = processor.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
    return processor(text=text, audio=waveforms(turns), sampling_rate=units.SAMPLE_RATE, return_tensors="pt")


def our_prompt(tokenizer: Tokenizer, *, turns: int) -> Prepared:
    messages = [
        Message("user", (Audio(), "What is said?")),
        Message("assistant", ("the quick brown fox",)),
        Message("user", (Audio(), "And ", Audio())),
    ][: 2 * turns - 1]
    mels = tuple(log_mel(Waveform(samples), num_mel_bins=16) for samples in waveforms(turns))
    counts = [units.tokens_from_frames(mel.num_frames) for mel in mels]
    return Prepared(render(messages, counts, tokenizer, open_turn=True), mels)


@pytest.mark.parametrize("turns", [1, 2])
def test_the_processors_prompt_is_ours(turns: int, exported: tuple[Path, Path]):
    _, out = exported
    prompt = our_prompt(Tokenizer.from_file(out / "tokenizer.json"), turns=turns).prompt
    assert processor_batch(out, turns=turns)["input_ids"].tolist() == [list(prompt.ids)]


def test_the_template_of_tokenizer_and_processor_is_one(exported: tuple[Path, Path]):
    _, out = exported
    for speaker in (AutoTokenizer.from_pretrained(out), AutoProcessor.from_pretrained(out)):
        for conversation in ([{"role": "user", "content": "Hi"}], [{"role": "system", "content": "Be brief."}]):
            text = speaker.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
            assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
            assert (DEFAULT_SYSTEM in text) is (conversation[0]["role"] == "user")
            assert text.count("<|im_start|>system\n") == 1


def test_the_answers_end_where_ours_do(theirs: Qwen2AudioForConditionalGeneration, exported: tuple[Path, Path]):
    source, out = exported
    said = json.loads((source / "generation_config.json").read_text())
    assert theirs.generation_config.eos_token_id == said["eos_token_id"]
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.eos_token_id == said["eos_token_id"][0]
    assert tokenizer.pad_token_id == said["pad_token_id"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_they_load_the_dtype_we_wrote(dtype: torch.dtype, checkpoint_dir: Path, tmp_path: Path):
    export_checkpoint(checkpoint_dir, tmp_path / "out", dtype=dtype)
    model = Qwen2AudioForConditionalGeneration.from_pretrained(tmp_path / "out", dtype="auto")
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}


def test_without_the_export_transformers_draws_a_head(tiny_model: Make, write_checkpoint: Write, tmp_path: Path):
    """What the loading report above guards against: the checkpoint itself, tied, is not loaded whole."""
    source = write_checkpoint(tiny_model(tied_head=True), tmp_path / "model")
    _, report = Qwen2AudioForConditionalGeneration.from_pretrained(source, output_loading_info=True)
    assert report["missing_keys"] == {"lm_head.weight"}
