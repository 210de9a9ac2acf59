"""A recording as a wav file, sample for sample."""

from auricle import units
from auricle.audio import Waveform

_FLOAT = 3  # format tag of the RIFF WAVE specification


def encode_wav(waveform: Waveform) -> bytes:
    """32-bit float, one channel.

    Exact, and safe: where a vLLM server has neither torchcodec nor soundfile, its third decoder takes 16-bit samples
    as numbers up to 32768 (vllm 0.32, multimodal/media/audio.py), and the model hears noise.
    """
    samples = waveform.samples.astype("<f4")
    width, rate = samples.itemsize, units.SAMPLE_RATE
    # tag, channels, samples/s, bytes/s, bytes a frame, bits a sample
    form = _number(_FLOAT, 2) + _number(1, 2) + _number(rate, 4) + _number(rate * width, 4) + _number(width, 2)
    form += _number(8 * width, 2)
    chunks = b"WAVEfmt " + _number(len(form), 4) + form + b"data" + _number(samples.nbytes, 4)
    return b"RIFF" + _number(len(chunks) + samples.nbytes, 4) + chunks + samples.tobytes()


def _number(value: int, num_bytes: int) -> bytes:
    return value.to_bytes(num_bytes, "little")
