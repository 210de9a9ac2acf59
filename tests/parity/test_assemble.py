"""A model assembled from transformers' Whisper, Qwen2 and Llama does what each of them did alone."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    WhisperConfig,
    WhisperForConditionalGeneration,
    WhisperModel,
)

from auricle.assistant import assemble
from auricle.errors import UserError
from auricle.model import Qwen2Audio
from auricle.prepare import Prepared, Prompt, collate
from auricle.text import Tokenizer
from auricle.weights import read_checkpoint, read_config, read_model
from auricle.weights.parents import read_whisper

from .reference import TOLERANCE, relative

pytestmark = pytest.mark.parity

CPU = torch.device("cpu")
NUM_TEXT = 300  # ids of the text model's tokenizer
WHISPER = {
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 24,
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "decoder_start_token_id": 0,
    "num_mel_bins": 16,
}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 0.01,
    "rope_parameters": {"rope_type": "default", "rope_theta": 300.0},
    "eos_token_id": 7,
    "bos_token_id": 7,
}


def lively(model: PreTrainedModel) -> Any:
    """Every weight, bias and norm drawn, so that a lost or swapped one shows."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.eval().requires_grad_(False).named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.copy_(1 + 0.3 * noise if "norm" in name and name.endswith("weight") else 0.3 * noise)
    return model


@dataclass(frozen=True)
class Decoder:
    """A text model's kind, and how many rows its table has for its 300 tokens."""

    kind: str
    tied: bool
    rows: int = NUM_TEXT

    def __str__(self) -> str:
        return f"{self.kind}-{'tied' if self.tied else 'untied'}-{self.rows}"

    def model(self) -> PreTrainedModel:
        settings = TEXT | {"vocab_size": self.rows, "tie_word_embeddings": self.tied}
        if self.kind == "qwen2":
            return lively(Qwen2ForCausalLM(Qwen2Config(**settings)))
        return lively(LlamaForCausalLM(LlamaConfig(**settings, head_dim=8)))


DECODERS = [
    Decoder("qwen2", tied=False, rows=320),
    Decoder("qwen2", tied=True),
    Decoder("llama", tied=False),
    Decoder("llama", tied=True, rows=384),
]


@pytest.fixture(scope="module")
def text_tokenizer() -> tokenizers.Tokenizer:
    """A byte-level BPE of 300 ids with one special token, which puts it before every text as Llama's do."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=299, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(
        ["the quick brown fox jumps over the lazy dog, again and again; a sly cat sleeps. " * 9], trainer
    )
    tokenizer.add_special_tokens(["<s>"])
    start = [("<s>", tokenizer.token_to_id("<s>"))]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=start)
    assert tokenizer.get_vocab_size() == NUM_TEXT
    return tokenizer


@pytest.fixture(scope="module")
def whisper() -> WhisperForConditionalGeneration:
    return lively(WhisperForConditionalGeneration(WhisperConfig(**WHISPER)))


@pytest.fixture(scope="module")
def encoder_dir(whisper: WhisperForConditionalGeneration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whisper")
    whisper.save_pretrained(directory)
    (directory / "LICENSE").write_text("MIT")
    return directory


@pytest.fixture(scope="module", params=DECODERS, ids=str)
def made(
    request: pytest.FixtureRequest,
    encoder_dir: Path,
    text_tokenizer: tokenizers.Tokenizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Decoder, PreTrainedModel, Path]:
    """A text model and the model that was assembled of it."""
    model = request.param.model()
    directory = save(model, text_tokenizer, tmp_path_factory.mktemp("decoder"))
    out = tmp_path_factory.mktemp("assembled") / "out"
    assemble(encoder_dir, directory, out, seed=5)
    return request.param, model, out


def save(model: PreTrainedModel, tokenizer: tokenizers.Tokenizer, directory: Path, **settings: Any) -> Path:
    model.save_pretrained(directory, **settings)
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


def ours(out: Path) -> Qwen2Audio:
    return read_model(out, dtype=torch.float32, device=CPU)


def text_logits(model: Qwen2Audio, ids: torch.Tensor) -> torch.Tensor:
    rows = [Prepared(Prompt(tuple(row), (False,) * len(row), ())) for row in ids.tolist()]
    with torch.inference_mode():
        return model(collate(rows, pad_id=0))


def test_the_text_model_still_speaks(made: tuple[Decoder, PreTrainedModel, Path]):
    _, theirs, out = made
    ids = torch.randint(0, NUM_TEXT, (2, 40), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        reference = theirs(ids).logits[..., :NUM_TEXT]
    model = ours(out)
    assert relative(text_logits(model, ids)[..., :NUM_TEXT], reference) < TOLERANCE
    with torch.no_grad():
        model.language_model.model.layers[1].self_attn.q_proj.bias += 0.1
    assert relative(text_logits(model, ids)[..., :NUM_TEXT], reference) > 10 * TOLERANCE


def test_the_table_grows_to_a_multiple_of_64(made: tuple[Decoder, PreTrainedModel, Path]):
    decoder, theirs, out = made
    model = ours(out)
    table = model.language_model.model.embed_tokens.weight
    assert len(table) == (384 if decoder.rows == 384 else 320)
    assert model.config.text.tied_head is decoder.tied
    assert (model.language_model.lm_head.weight is table) is decoder.tied
    for ours_, theirs_ in (
        (table, theirs.get_input_embeddings().weight),
        (model.language_model.lm_head.weight, theirs.get_output_embeddings().weight),
    ):
        assert torch.equal(ours_[:NUM_TEXT], theirs_[:NUM_TEXT])
        new = ours_[NUM_TEXT : NUM_TEXT + 5]
        distance = (new - theirs_[:NUM_TEXT].mean(dim=0)).std() / theirs_[:NUM_TEXT].std()
        assert 0.05 < distance < 0.2
        assert len({tuple(row) for row in new.tolist()}) == 5
        spare = range(NUM_TEXT + 5, min(decoder.rows, len(ours_)))
        assert torch.equal(ours_[spare.start : spare.stop], theirs_[spare.start : spare.stop])


def test_the_tokenizer_reads_as_before(
    made: tuple[Decoder, PreTrainedModel, Path], text_tokenizer: tokenizers.Tokenizer
):
    _, _, out = made
    tokenizer = Tokenizer.from_file(out / "tokenizer.json")
    library = tokenizers.Tokenizer.from_file(str(out / "tokenizer.json"))
    for text in ("the quick brown fox", "Привет, 你好\n\t 1984 <s", "", " lazy"):
        before = text_tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text) == before
        assert library.encode(text).ids == before  # with nothing put before it
        assert text_tokenizer.encode(text).ids == [text_tokenizer.token_to_id("<s>"), *before]
    specials = ["<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"]
    assert [tokenizer.special(token) for token in specials] == list(range(NUM_TEXT, NUM_TEXT + 5))
    assert read_config(out).audio_token_id == NUM_TEXT + 2


def test_answers_end_where_either_says(made: tuple[Decoder, PreTrainedModel, Path]):
    _, _, out = made
    checkpoint = read_checkpoint(out, dtype=torch.float32, device=CPU)
    assert checkpoint.stop_ids == {NUM_TEXT + 1, TEXT["eos_token_id"]}
    assert checkpoint.pad_id == TEXT["eos_token_id"]
    assert json.loads((out / "generation_config.json").read_text())["eos_token_id"] == [NUM_TEXT + 1, 7]


def their_states(whisper: WhisperModel | WhisperForConditionalGeneration, mel: torch.Tensor) -> torch.Tensor:
    """Whisper's states before its last norm."""
    seen: list[torch.Tensor] = []
    encoder = whisper.get_encoder()
    hook = encoder.layer_norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        encoder(mel)
    hook.remove()
    return seen[0]


def test_the_encoder_still_hears(made: tuple[Decoder, PreTrainedModel, Path], whisper: WhisperForConditionalGeneration):
    model = ours(made[2])
    mel = torch.randn(2, 16, 3000, generator=torch.Generator().manual_seed(2))
    reference = their_states(whisper, mel)
    with torch.inference_mode():
        states, _ = model.audio_tower.states(mel, [3000, 3000])
        assert relative(states, reference) < TOLERANCE
        cut, _ = model.audio_tower.states(mel, [3000, 2000])  # Whisper lets padding be heard, we do not
    assert relative(cut[1, :1000], reference[1, :1000]) > 10 * TOLERANCE


@pytest.mark.parametrize("form", ["without a head", "sharded"])
def test_other_files_of_the_same_whisper(
    form: str, whisper: WhisperForConditionalGeneration, encoder_dir: Path, tmp_path: Path
):
    """WhisperModel's names, and several shards: the same encoder."""
    saved = whisper.model if form == "without a head" else whisper
    saved.save_pretrained(tmp_path, max_shard_size="1GB" if form == "without a head" else "30KB")
    assert (tmp_path / "model.safetensors").exists() is (form == "without a head")
    again, first = read_whisper(tmp_path), read_whisper(encoder_dir)
    assert again.config == first.config
    assert again.tensors.keys() == first.tensors.keys()
    for name, tensor in first.tensors.items():
        assert tensor.equal(again.tensors[name]), name


def test_a_text_model_saved_without_its_head_and_in_shards(
    encoder_dir: Path, text_tokenizer: tokenizers.Tokenizer, tmp_path: Path
):
    bare = lively(LlamaModel(LlamaConfig(**TEXT, vocab_size=NUM_TEXT, tie_word_embeddings=True)))
    directory = save(bare, text_tokenizer, tmp_path / "text", max_shard_size="20KB")
    assert not (directory / "model.safetensors").exists()
    assemble(encoder_dir, directory, tmp_path / "out")
    layers = ours(tmp_path / "out").language_model.model
    assert torch.equal(layers.layers[1].mlp.up_proj.weight, bare.layers[1].mlp.up_proj.weight)
    assert not layers.layers[1].self_attn.k_proj.bias.any()


def test_the_seed_and_the_dtype(encoder_dir: Path, text_tokenizer: tokenizers.Tokenizer, tmp_path: Path):
    directory = save(DECODERS[1].model().bfloat16(), text_tokenizer, tmp_path / "text")
    drawn = {}
    for name, settings in {"a": {"seed": 1}, "b": {"seed": 1}, "c": {"seed": 2}, "d": {"dtype": torch.float32}}.items():
        assert assemble(encoder_dir, directory, tmp_path / name, **settings).explained is None  # type: ignore[arg-type]
        drawn[name] = ours(tmp_path / name).multi_modal_projector.linear
    assert torch.equal(drawn["a"].weight, drawn["b"].weight)
    assert not torch.equal(drawn["a"].weight, drawn["c"].weight)
    assert not drawn["a"].bias.any()
    assert 0.015 < drawn["a"].weight.std() < 0.025
    dtypes = {name: json.loads((tmp_path / name / "config.json").read_text())["torch_dtype"] for name in drawn}
    assert dtypes == {"a": "bfloat16", "b": "bfloat16", "c": "bfloat16", "d": "float32"}


def test_licences_travel(made: tuple[Decoder, PreTrainedModel, Path]):
    assert (made[2] / "licences" / "encoder-LICENSE").read_text() == "MIT"


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("decoder", {"model_type": "mistral"}, "is of model_type 'mistral', expected 'qwen2' or 'llama' for the decoder"),
    ("decoder", {"rope_parameters": {"rope_type": "llama3", "factor": 8}}, "scales its rotary positions"),
    ("decoder", {"rope_scaling": {"type": "linear", "factor": 2}}, "scales its rotary positions"),
    ("decoder", {"attention_bias": True}, "has attention_bias True, expected False: a Qwen2 decoder has no place"),
    ("decoder", {"mlp_bias": True}, "has mlp_bias True, expected False"),
    ("decoder", {"hidden_act": "gelu"}, "hidden_act is 'gelu', expected 'silu'"),
    ("decoder", {"quantization_config": {"quant_method": "awq"}}, "is quantised, expected plain weights"),
    ("decoder", {"num_hidden_layers": 3}, "missing language_model.model.layers.2.input_layernorm.weight"),
    ("decoder", {"tie_word_embeddings": False}, "missing language_model.lm_head.weight"),
    ("encoder", {"model_type": "wav2vec2"}, "is of model_type 'wav2vec2', expected 'whisper' for the encoder"),
    ("encoder", {"activation_function": "relu"}, "activation_function is 'relu', expected 'gelu'"),
    ("encoder", {"scale_embedding": True}, "scale_embedding is True, expected False"),
    ("encoder", {"encoder_layers": 1}, "unexpected audio_tower.layers.1."),
]


@pytest.fixture(scope="module")
def parents(
    whisper: WhisperForConditionalGeneration,
    text_tokenizer: tokenizers.Tokenizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("parents")
    whisper.save_pretrained(folder / "encoder")
    save(Decoder("llama", tied=True).model(), text_tokenizer, folder / "decoder")
    return {"encoder": folder / "encoder", "decoder": folder / "decoder"}


@pytest.mark.parametrize(("part", "change", "sentence"), REFUSALS, ids=[f"{r[0]} {r[1]}"[:50] for r in REFUSALS])
def test_what_qwen2_audio_cannot_hold(
    part: str, change: dict[str, Any], sentence: str, parents: dict[str, Path], tmp_path: Path
):
    path = parents[part] / "config.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | change))
    try:
        with pytest.raises(UserError) as caught:
            assemble(parents["encoder"], parents["decoder"], tmp_path / "out")
    finally:
        path.write_text(before)
    assert sentence in str(caught.value)
    assert str(parents[part]) in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_briefs_starting_point() -> None:
    """Whisper-large-v3's configuration and a Qwen-7B's, by their numbers: 637 M and 5.2 M parameters."""
    from auricle.model import Qwen2AudioConfig
    from auricle.weights.config_json import QWEN2_DEFAULTS, decoder_config, encoder_config

    large_v3 = WhisperConfig(
        d_model=1280, encoder_layers=32, encoder_attention_heads=20, encoder_ffn_dim=5120, num_mel_bins=128
    )
    qwen = Qwen2Config(hidden_size=4096, intermediate_size=11008, num_attention_heads=32, vocab_size=156032)
    config = Qwen2AudioConfig(
        encoder_config(large_v3.to_dict(), "encoder"),
        decoder_config(QWEN2_DEFAULTS | qwen.to_dict(), "decoder"),
        151646,
    )
    with torch.device("meta"):
        model = Qwen2Audio(config)
    counts = [sum(p.numel() for p in part.parameters()) for part in (model.audio_tower, model.multi_modal_projector)]
    assert counts == [636_968_960, 5_246_976]


def test_it_is_loaded_everywhere(
    made: tuple[Decoder, PreTrainedModel, Path], run_cli: Callable[..., tuple[int, str, str]], recordings: list[Path]
):
    _, _, out = made
    assert run_cli("info", out)[0] == 0
    options = ["--model", out, "--device", "cpu", "--max-new-tokens", 4, "--no-vad"]
    code, text, err = run_cli("transcribe", recordings[0], *options)
    assert (code, err) == (0, "")
    assert text
    assert run_cli("export", out, out.parent / "exported")[0] == 0
    model = ours(out.parent / "exported")
    assert np.array_equal(model.language_model.lm_head.weight, ours(out).language_model.lm_head.weight)
