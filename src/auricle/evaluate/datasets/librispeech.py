"""LibriSpeech as OpenSLR 12 ships it: read books, English.

    LibriSpeech/test-clean/1089/134686/1089-134686-0000.flac
    LibriSpeech/test-clean/1089/134686/1089-134686.trans.txt    lines: 1089-134686-0000 HE HOPED THERE WOULD BE STEW

The folders are split, speaker and chapter. Panayotov et al., ICASSP 2015; https://www.openslr.org/12 (CC BY 4.0).
"""

from pathlib import Path

from auricle.errors import UserError
from auricle.evaluate.datasets.transcripts import nearest, paired, read_table
from auricle.evaluate.prompts import recognise
from auricle.evaluate.sample import Sample

SPLITS = ("dev-clean", "dev-other", "test-clean", "test-other")


def read(folder: Path) -> list[Sample]:
    """The samples of whichever of the four splits for evaluation are there.

    Args:
        folder: a split, `LibriSpeech`, or a folder that holds it.

    Raises:
        UserError: there is no split, or a split is not whole.
    """
    found = [split for name in SPLITS for split in _places(folder, name)]
    if not found:
        raise UserError(
            f"no LibriSpeech under {folder}; expected LibriSpeech/SPLIT/SPEAKER/CHAPTER/*.flac with *.trans.txt beside "
            f"them, SPLIT one of {', '.join(SPLITS)}"
        )
    return [sample for split in found for sample in _split(split)]


def _places(folder: Path, name: str) -> list[Path]:
    if folder.resolve().name == name:
        return [folder]
    return [path for path in nearest(folder, name) if path.is_dir()][:1]


def _split(split: Path) -> list[Sample]:
    texts: dict[str, str] = {}
    recordings: dict[str, Path] = {}
    for chapter in sorted(split.glob("*/*/")):
        for path in sorted(chapter.iterdir()):
            if path.name.endswith(".trans.txt"):
                texts |= read_table(path)
            elif path.suffix == ".flac":
                recordings[path.stem] = path
    source = f"librispeech_{split.resolve().name.replace('-', '_')}"
    return [
        Sample(
            id=key,
            dataset="librispeech",
            source=source,
            task="asr",
            audio=recording,
            prompt=recognise("en"),
            reference=text,
            language="en",
            speaker=key.partition("-")[0],
        )
        for key, text, recording in paired(split, texts, recordings)
    ]
