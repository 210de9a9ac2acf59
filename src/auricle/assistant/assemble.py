"""A fresh model from a Whisper and a text model: what every training starts from."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from auricle import units
from auricle.assistant.spoken import Spoken, read_spoken
from auricle.audio import Waveform, load
from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.extend import fit_projector
from auricle.model import Qwen2AudioConfig
from auricle.model.audio_encoder import AudioEncoder
from auricle.text import Tokenizer
from auricle.weights import LICENCE_FILES, locate
from auricle.weights.new_directory import refuse_filled
from auricle.weights.parents import TextDecoder, WhisperEncoder, read_text_decoder, read_whisper
from auricle.weights.published import parameter_shapes, published_directory
from auricle.weights.stored import EMBEDDINGS, HEAD
from auricle.weights.vocabulary import AUDIO, IM_END, PAD, Vocabulary, extend_rows, extend_vocabulary

_PROJECTORS = ("random", "ridge")
Progress = Callable[[Sequence[Spoken]], Iterable[Spoken]]
_STD = 0.02  # of a random projector's weights, as the released configuration initialises every layer
_ENCODER, _PROJECTOR = "audio_tower.", "multi_modal_projector.linear."


@dataclass(frozen=True, slots=True)
class Assembled:
    """Where the model lies, and which share of the embeddings' variance a ridge projector explains (None: random)."""

    directory: Path
    explained: float | None


def assemble(
    encoder: str | Path,
    decoder: str | Path,
    out: Path,
    *,
    projector: str = "random",
    data: Path | None = None,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    progress: Progress = iter,
) -> Assembled:
    """Put a Whisper's encoder before a text model, join them by a projector, and write the published layout.

    The encoder's and the decoder's tensors are kept as they are; the vocabulary grows by what a conversation needs.

    Args:
        encoder: a Hugging Face Whisper directory, or a hub id; its decoder is not used.
        decoder: a Hugging Face Qwen2 or Llama directory, or a hub id.
        out: a new or an empty directory.
        projector: `random`, or `ridge`: fitted in closed form to the recordings of `data`.
        data: a manifest of `{"audio": path, "text": words}` lines, paths relative to it; for `ridge` alone.
        seed: of the new rows and the random projector.
        dtype: of every parameter; None takes the decoder's.
        progress: is given the recordings and iterates over them, for example to show a bar.

    Raises:
        UserError: a directory is of another model, cannot be held by Qwen2-Audio or is damaged; a recording or a line
            of the manifest is; or `out` is not empty.
    """
    refuse_filled(out)
    spoken = _recordings(projector, data)
    folders = {"encoder": locate(encoder), "decoder": locate(decoder)}
    whisper, text = read_whisper(folders["encoder"]), read_text_decoder(folders["decoder"])
    vocabulary = extend_vocabulary(
        folders["decoder"] / "tokenizer.json",
        num_rows=text.config.vocab_size,
        needs_pad=text.pad_id is None and not text.stop_ids,
    )
    config = Qwen2AudioConfig(
        whisper.config, replace(text.config, vocab_size=vocabulary.num_rows), vocabulary.ids[AUDIO]
    )
    generator = torch.Generator().manual_seed(seed)
    tensors = whisper.tensors | text.tensors | _rows(text, vocabulary, generator)
    explained = None
    if projector == "random":
        tensors |= _random_projector(config, generator)
    else:
        tokenizer = Tokenizer(vocabulary.tokenizer_json)
        fit = fit_projector(_module(whisper), tensors[EMBEDDINGS], tokenizer, _heard(progress(spoken)))
        tensors |= {f"{_PROJECTOR}weight": fit.weight, f"{_PROJECTOR}bias": fit.bias}
        explained = fit.explained
    dtypes = dict.fromkeys(parameter_shapes(config), dtype or tensors[EMBEDDINGS].dtype)
    with published_directory(out, config, dtypes, tensors.__getitem__) as directory:
        _write_files(directory, folders, text, vocabulary)
    return Assembled(out, explained)


def _recordings(projector: str, data: Path | None) -> list[Spoken]:
    """What the projector is fitted to; refuses settings that do not go together."""
    if projector not in _PROJECTORS:
        raise UserError(f"unknown projector {projector!r}: expected {' or '.join(_PROJECTORS)}")
    if projector == "random":
        if data is not None:
            raise UserError(f"a random projector is fitted to nothing: got data {data}; leave it out, or say ridge")
        return []
    if data is None:
        raise UserError('a ridge projector is fitted to recordings: give data, {"audio": path, "text": words} lines')
    return read_spoken(data)


def _heard(spoken: Iterable[Spoken]) -> Iterator[tuple[Waveform, str]]:
    for one in spoken:
        waveform = load(one.audio)
        if len(waveform.samples) > units.WINDOW_SAMPLES:
            raise UserError(f"{one.audio} lasts {waveform.duration_s:.1f} s, expected at most 30; leave it out")
        yield waveform, one.text


def _rows(text: TextDecoder, vocabulary: Vocabulary, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """The embedding table, and an untied head, with a row for every token."""
    tables = (EMBEDDINGS,) if text.config.tied_head else (EMBEDDINGS, HEAD)
    return {name: extend_rows(text.tensors[name], vocabulary, generator) for name in tables}


def _random_projector(config: Qwen2AudioConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    shape = (config.text.width, config.audio.width)
    weight = torch.randn(shape, generator=generator) * _STD
    return {f"{_PROJECTOR}weight": weight, f"{_PROJECTOR}bias": torch.zeros(shape[0])}


def _module(whisper: WhisperEncoder) -> AudioEncoder:
    """The encoder as it runs: float32, nothing to train."""
    with torch.device("meta"):
        encoder = AudioEncoder(whisper.config)
    state = {name.removeprefix(_ENCODER): tensor.float() for name, tensor in whisper.tensors.items()}
    encoder.load_state_dict(state, strict=True, assign=True)
    return encoder.requires_grad_(False).eval()


def _write_files(directory: Path, folders: dict[str, Path], text: TextDecoder, vocabulary: Vocabulary) -> None:
    """Tokenizer, how an answer ends, and both parents' licences."""
    (directory / "tokenizer.json").write_text(vocabulary.tokenizer_json, encoding="utf-8")
    end_id = vocabulary.ids[IM_END]
    pad_id = text.pad_id if text.pad_id is not None else vocabulary.ids.get(PAD, min(text.stop_ids, default=end_id))
    generation = {
        "eos_token_id": [end_id, *sorted(text.stop_ids - {end_id})],
        "pad_token_id": pad_id,
        "max_new_tokens": Sampling().max_new_tokens,
        "do_sample": False,
    }
    (directory / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    for part, folder in folders.items():
        for path in (path for name in LICENCE_FILES for path in folder.glob(name) if path.is_file()):
            (directory / "licences").mkdir(exist_ok=True)
            shutil.copyfile(path, directory / "licences" / f"{part}-{path.name}")
