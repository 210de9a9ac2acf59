"""What counts as speech, by the words of the rule, over a whole recording at once: the detector's oracle."""

import numpy as np

from auricle.audio import VoiceActivity

CHUNK_SAMPLES = 512  # what Silero hears at once
RATE = 16000


def stretches(probabilities: list[float], num_samples: int, voice: VoiceActivity) -> list[tuple[int, int]]:
    """The rule by its words, over the whole recording at once: (start, end) of each stretch of speech."""
    threshold, lower = np.float32(voice.threshold), max(voice.threshold - 0.15, 0.01)
    loud, runs = False, []
    for place, probability in enumerate(np.array(probabilities, np.float32)):
        loud = bool(probability >= threshold or (loud and probability >= lower))
        if loud:
            runs.append((place * CHUNK_SAMPLES, min((place + 1) * CHUNK_SAMPLES, num_samples)))
    joined: list[list[tuple[int, int]]] = []
    for start, end in runs:
        pause = start - joined[-1][-1][1] if joined else 0
        if joined and (pause == 0 or pause < round(voice.min_silence_s * RATE)):
            joined[-1].append((start, end))
        else:
            joined.append([(start, end)])
    shortest = max(round(voice.min_speech_s * RATE), 480)
    return [(each[0][0], each[-1][1]) for each in joined if sum(end - start for start, end in each) >= shortest]
