"""The published table: its rows, what each pools, and the figures that ours stand beside.

Counts and figures: the project's brief (LibriSpeech to VocalSound) and the README of QwenLM/Qwen2-Audio, the column of
the converted checkpoint (AISHELL-2, three more directions of CoVoST2, AIR-Bench). Error rates are in %, BLEU and the
judge's score as printed, accuracies are fractions.
"""

from dataclasses import dataclass
from typing import Literal

Metric = Literal["wer", "bleu", "accuracy", "judge"]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    sources: pooled, all their samples as one corpus. count: how many samples the official lists hold; None where that
    is not published. official, transformers, vllm: the published figures, None where there is none. mean_of: rows whose
    figures' mean it is, instead of one figure of all samples.
    """

    name: str
    dataset: str
    sources: tuple[str, ...]
    metric: Metric
    count: int | None = None
    official: float | None = None
    transformers: float | None = None
    vllm: float | None = None
    mean_of: tuple[str, ...] = ()


def _covost(
    direction: str, count: int | None, official: float, transformers: float | None = None, vllm: float | None = None
) -> Row:
    sources = tuple(f"covost2_{direction}_{split}" for split in ("dev", "test"))
    pooled = sources if count else sources[1:]
    return Row(f"covost2_{direction}", "covost2", pooled, "bleu", count, official, transformers, vllm)


def _airbench(part: str, tasks: tuple[str, ...], figure: float | None = None, mean_of: tuple[str, ...] = ()) -> Row:
    return Row(f"airbench_{part}", "airbench", tasks, "judge", None, figure, mean_of=mean_of)


ROWS = (
    Row("librispeech_dev_clean", "librispeech", ("librispeech_dev_clean",), "wer", 2694, 1.7, 1.68, 2.24),
    Row("librispeech_dev_other", "librispeech", ("librispeech_dev_other",), "wer", 2857, 3.6, 3.65, 4.41),
    Row("librispeech_test_clean", "librispeech", ("librispeech_test_clean",), "wer", 2611, 1.7, 1.70, 2.24),
    Row("librispeech_test_other", "librispeech", ("librispeech_test_other",), "wer", 2932, 4.0, 4.03, 4.69),
    Row("fleurs_zh", "fleurs", ("fleurs_zh",), "wer", 944, 7.0, 7.01, 7.33),
    Row("common_voice_15_zh", "common_voice_15", ("common_voice_15_zh",), "wer", 10625, 6.5, 6.89, 6.62),
    Row("common_voice_15_yue", "common_voice_15", ("common_voice_15_yue",), "wer", 5593, 5.9, 5.87, 6.06),
    Row("common_voice_15_fr", "common_voice_15", ("common_voice_15_fr",), "wer", 16132, 9.6, 9.55, 9.60),
    Row("common_voice_15_en", "common_voice_15", ("common_voice_15_en",), "wer", 16381, 8.7, 8.76, 9.72),
    Row("aishell2_mic", "aishell2", ("aishell2_mic",), "wer", 5000, 3.2),
    Row("aishell2_ios", "aishell2", ("aishell2_ios",), "wer", 5000, 3.1),
    Row("aishell2_android", "aishell2", ("aishell2_android",), "wer", 5000, 2.9),
    _covost("en_zh", 30984, 45.6, 45.5, 45.6),
    _covost("en_de", 30883, 29.6, 29.6, 29.8),
    _covost("de_en", 27017, 33.6, 33.6, 35.4),
    _covost("zh_en", 9741, 24.0, 23.9, 24.7),
    _covost("es_en", None, 38.7),
    _covost("fr_en", None, 37.2),
    _covost("it_en", None, 35.2),
    Row("meld", "meld", ("meld_dev", "meld_test"), "accuracy", 3716, 0.535, 0.541, 0.548),
    Row("vocalsound", "vocalsound", ("vocalsound_valid", "vocalsound_test"), "accuracy", 5446, 0.9395, 0.9329, 0.9342),
    _airbench("speech", ("speech_QA", "speech_dialogue_QA"), 7.24),
    _airbench("sound", ("sound_QA", "sound_generation_QA"), 6.83),
    _airbench("music", ("music_QA", "music_generation_analysis_QA"), 6.73),
    _airbench("speech_and_sound", ("speech_and_sound_QA",)),
    _airbench("speech_and_music", ("speech_and_music_QA",)),
    _airbench(
        "mixed",
        ("speech_and_sound_QA", "speech_and_music_QA"),
        6.42,
        mean_of=("airbench_speech_and_sound", "airbench_speech_and_music"),
    ),
)
