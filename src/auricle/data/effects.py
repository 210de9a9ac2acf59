"""What can happen to a recording on its way to a listener, as functions of samples at 16 kHz.

Every function takes and gives float32 [samples], changes nothing in place, keeps digital silence and makes no NaN.
"""

import numpy as np

from auricle import units

FRAME_SAMPLES = 320  # 20 ms: the piece over which a level is measured
_ACTIVE = 1e-3  # of the loudest frame's power: what lies more than 30 dB under it is a pause
_MOST_BURST = 100.0  # noise 20 dB louder in the pauses than in the speech would drown more than it says
_EDGE_SAMPLES = 1024  # of silence, so that the end of a transformed recording does not reach around to its start
_BAND_HZ = (200.0, 300.0, 3400.0, 3800.0)  # telephone speech is 300 to 3400 Hz (ITU-T G.712); slopes on both sides
_MU = 255  # ITU-T G.711
_MU_STEPS = 127  # on each side of zero: 8 bits


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Played `factor` times faster, tempo and pitch together: round(samples / factor) samples, nothing folded back.

    The spectrum is cut or extended, which is the ideal filter of a resampler.
    """
    num_in = fast_length(len(samples) + _EDGE_SAMPLES)
    num_out = round(num_in / factor)
    spectrum = np.fft.rfft(samples, num_in)[: 1 + num_out // 2]
    resampled = np.fft.irfft(spectrum, num_out)[: round(len(samples) / factor)]
    return (resampled * (num_out / num_in)).astype(np.float32)


def impulse_response(decay_s: float, direct_db: float, rng: np.random.Generator) -> np.ndarray:
    """A room: the direct sound at sample 0, then noise that has decayed by 60 dB after `decay_s` (Polack's model).

    direct_db: energy of the direct sound over that of all the rest.
    """
    num_samples = max(2, round(decay_s * units.SAMPLE_RATE))
    tail = rng.standard_normal(num_samples) * 10 ** (-3 * np.arange(num_samples) / num_samples)
    tail[0] = 0.0
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return tail.astype(np.float32)


def add_room(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """What is heard in a room of that impulse response, up to where the recording ends."""
    size = fast_length(len(samples) + len(response) - 1)
    product = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(product, size)[: len(samples)].astype(np.float32)


def noise_scale(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> float:
    """By what to multiply noise of the same length, so that speech + scale * noise has that ratio.

    The ratio is of the mean powers over the samples where there is speech; pauses do not count. 0 where speech or
    noise is silent there, or where nearly all of the noise lies in the pauses.
    """
    active = active_part(speech)
    if not active.any():
        return 0.0
    speech_power, noise_power = _power(speech[active]), _power(noise[active])
    if noise_power == 0 or noise_power * _MOST_BURST < _power(noise):
        return 0.0
    return float(np.sqrt(speech_power / noise_power * 10 ** (-snr_db / 10)))


def active_part(samples: np.ndarray) -> np.ndarray:
    """bool [samples]: frames of 20 ms at most 30 dB under the loudest one; none in digital silence."""
    power = frame_power(samples)
    return np.repeat((power > 0) & (power >= _ACTIVE * power.max()), FRAME_SAMPLES)[: len(samples)]


def frame_power(samples: np.ndarray) -> np.ndarray:
    """float64 [frames]: the mean square of every 20 ms, of what there is of the last."""
    starts = np.arange(0, len(samples), FRAME_SAMPLES)
    counts = np.minimum(FRAME_SAMPLES, len(samples) - starts)
    return np.add.reduceat(np.square(samples, dtype=np.float64), starts) / counts


def narrow(samples: np.ndarray) -> np.ndarray:
    """The telephone's band alone, 300 to 3400 Hz."""
    size = fast_length(len(samples) + _EDGE_SAMPLES)
    hz = np.fft.rfftfreq(size, 1 / units.SAMPLE_RATE)
    shape = np.interp(hz, _BAND_HZ, (0.0, 1.0, 1.0, 0.0))
    return np.fft.irfft(np.fft.rfft(samples, size) * shape, size)[: len(samples)].astype(np.float32)


def compand(samples: np.ndarray) -> np.ndarray:
    """Through 8 000 samples/s of 8 bits mu-law, full scale at the loudest sample; expects what `narrow` gives."""
    halved = samples[::2]
    peak = float(np.abs(halved).max())
    if peak == 0:
        return samples
    steps = np.round(np.log1p(_MU * np.abs(halved / peak)) / np.log1p(_MU) * _MU_STEPS)
    levels = np.expm1(steps / _MU_STEPS * np.log1p(_MU)) / _MU
    return change_speed(np.sign(halved) * levels * peak, 0.5)[: len(samples)]


def fast_length(at_least: int) -> int:
    """The least product of 2, 3 and 5 that is not smaller: a Fourier transform of it is quick."""
    best = 1 << (at_least - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            quotient = -(-at_least // three)
            best = min(best, three << (quotient - 1).bit_length())
            three *= 3
        five *= 5
    return best


def _power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))
