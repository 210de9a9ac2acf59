"""AISHELL-2's test set as its publisher ships it on request: read Mandarin, recorded through three channels at once.

    AISHELL-DEV-TEST-SET/iOS/test/wav.scp                       lines: IT0011W0001<TAB>wav/T0011/IT0011W0001.wav
    AISHELL-DEV-TEST-SET/iOS/test/trans.txt                     lines: IT0011W0001<TAB>换一首歌
    AISHELL-DEV-TEST-SET/iOS/test/wav/T0011/IT0011W0001.wav

and the same under Android and Mic; the folder of a recording is its speaker. Each `test` comes as `test.tar.gz`.
Du et al., arXiv:1808.10583; https://www.aishelltech.com/aishell_2 (academic use).
"""

from pathlib import Path

from auricle.errors import UserError
from auricle.evaluate.datasets.transcripts import nearest, paired, read_table
from auricle.evaluate.prompts import recognise
from auricle.evaluate.sample import Sample

CHANNELS = ("mic", "ios", "android")


def read(folder: Path) -> list[Sample]:
    """The samples of whichever channels are there; channels are told apart by their folder's name, in any case.

    Args:
        folder: `test` of a channel, a channel, `AISHELL-DEV-TEST-SET`, or a folder that holds it.

    Raises:
        UserError: there is no test set, its archive is not unpacked, or a channel is not whole.
    """
    found = {channel: test for test in _places(folder) if (channel := test.parent.name.lower()) in CHANNELS}
    if not found:
        packed = nearest(folder, "test.tar.gz")
        if packed:
            raise UserError(f"{packed[0]} is still packed; unpack it where it is, with tar xzf")
        raise UserError(
            f"no AISHELL-2 test set under {folder}; expected CHANNEL/test/{{wav.scp,trans.txt,wav}}, CHANNEL one of "
            "Mic, iOS, Android"
        )
    return [sample for channel in CHANNELS if channel in found for sample in _channel(found[channel], channel)]


def _places(folder: Path) -> list[Path]:
    if folder.resolve().name == "test":
        return [folder.resolve()]
    return [path.resolve() for path in nearest(folder, "test") if path.is_dir()]


def _channel(test: Path, channel: str) -> list[Sample]:
    for name in ("trans.txt", "wav.scp"):
        if not (test / name).is_file():
            raise UserError(
                f"{test} has no {name}; expected wav.scp, trans.txt and wav, unpack the whole archive there"
            )
    stated = {key: test / name for key, name in read_table(test / "wav.scp").items()}
    recordings = {key: path for key, path in stated.items() if path.is_file()}
    return [
        Sample(
            id=key,
            dataset="aishell2",
            source=f"aishell2_{channel}",
            task="asr",
            audio=recording,
            prompt=recognise("zh"),
            reference=text,
            language="zh",
            speaker=recording.parent.name,
        )
        for key, text, recording in paired(test, read_table(test / "trans.txt"), recordings)
    ]
