"""Every rate and every length of the corridor, as integers with a unit in their name. Nothing here knows torch.

Samples (16 000 /s) -> mel frames (100 /s) -> encoder states (50 /s) -> audio tokens (25 /s).
Constants: Whisper's front end, as the released preprocessor_config.json states it.
"""

from auricle.errors import UserError

SAMPLE_RATE = 16_000  # samples/s
HOP_SAMPLES = 160  # 10 ms between mel frames
FFT_SAMPLES = 400  # 25 ms analysis window
FFT_BINS = FFT_SAMPLES // 2 + 1  # 201 frequencies, 0 to 8000 Hz
FRAMES_PER_S = SAMPLE_RATE // HOP_SAMPLES  # 100
WINDOW_S = 30  # the longest recording the encoder hears at once
WINDOW_SAMPLES = WINDOW_S * SAMPLE_RATE  # 480 000
WINDOW_FRAMES = WINDOW_S * FRAMES_PER_S  # 3000
TOKENS_PER_S = FRAMES_PER_S // 4  # 25


def frames_from_samples(num_samples: int) -> int:
    """Mel frames that hold real sound: one per started hop of 160 samples."""
    return -(-num_samples // HOP_SAMPLES)


def states_from_frames(num_frames: int) -> int:
    """Encoder states: the second convolution keeps every other frame."""
    return (num_frames - 1) // 2 + 1


def tokens_from_states(num_states: int) -> int:
    """Audio tokens: average pooling of two states; an odd last state is dropped."""
    return (num_states - 2) // 2 + 1


def tokens_from_frames(num_frames: int) -> int:
    """Audio tokens of a recording of `num_frames` mel frames (3000 -> 1500 states -> 750 tokens).

    Raises:
        UserError: fewer than 3 frames make no audio token.
    """
    if num_frames < 3:
        raise UserError(
            f"recording too short: got {num_frames} mel frames of 10 ms, expected at least 3; "
            "give at least 30 ms of sound"
        )
    return tokens_from_states(states_from_frames(num_frames))


def kept_frames(num_frames: int) -> int:
    """Mel frames to compute: the real ones and the one or two after them that the convolutions see.

    Worked example: 100 real frames make states 0..49; state 49 sees the first convolution at 97..99, which sees
    mel frames up to 100, so 101 frames are kept. With 101 real frames state 50 sees up to frame 102: 103 kept.
    The window's end (3000 frames) is the end of what the published encoder ever sees.
    """
    return min(num_frames + 2 - (num_frames + 1) % 2, WINDOW_FRAMES)
