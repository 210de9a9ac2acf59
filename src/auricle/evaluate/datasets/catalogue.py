"""The data sets that can be evaluated on: where each comes from, under what terms, and what reads it.

Sizes and checksums stand where the publisher states them, or where independent copies agree on them; elsewhere a file
is held only to the length that its server states, and `checksum not published` is printed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auricle.errors import UserError
from auricle.evaluate.datasets import (
    airbench,
    aishell2,
    common_voice,
    covost2,
    debian_speech,
    fleurs,
    librispeech,
    meld,
    vocalsound,
)
from auricle.evaluate.datasets.debian_facts import describe, facts_table
from auricle.evaluate.download import RemoteFile, Watch, fetch
from auricle.evaluate.sample import Sample
from auricle.evaluate.unpack import unpack
from auricle.settings import nearest

_ARCHIVES = (".tar", ".tar.gz", ".zip")
_OPENSLR = ("https://www.openslr.org", "https://us.openslr.org", "https://openslr.elda.org")
_COVOST = "https://dl.fbaipublicfiles.com/covost"
_FLEURS = "https://huggingface.co/datasets/google/fleurs/resolve/{}/data/"
_FLEURS_REVISIONS = ("70bb2e84b976b7e960aa89f1c648e09c59f894dd", "main")
_LISTS = "https://qianwen-res.oss-cn-beijing.aliyuncs.com/Qwen2-Audio/evaluation"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set.

    read: a folder in the publisher's layout -> samples. licence: as its publisher names it. files: what is downloaded;
    archives are unpacked where they lie. download: for sets whose files are not known beforehand, in place of `files`.
    how_to_get: where and how to ask for what is not downloaded; a sentence, empty where nothing is left to get.
    facts: a table of what its samples are, where no row of the published table counts them.
    """

    name: str
    title: str
    home_page: str
    licence: str
    read: Callable[[Path], list[Sample]]
    files: tuple[RemoteFile, ...] = ()
    download: Callable[[Path, Watch], None] | None = None
    how_to_get: str = ""
    facts: Callable[[Sequence[Sample]], str] | None = None

    @property
    def is_offered(self) -> bool:
        """Whether any of it can be downloaded without asking."""
        return bool(self.files or self.download)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to get after the download."""
        return self.is_offered and not self.how_to_get


def _librispeech(split: str, num_bytes: int, md5: str) -> RemoteFile:
    """md5: openslr.org/resources/12/md5sum.txt; num_bytes: ESPnet's and Kaldi's recipes."""
    name = f"{split}.tar.gz"
    return RemoteFile(name, tuple(f"{host}/resources/12/{name}" for host in _OPENSLR), num_bytes, md5=md5)


def _covost2(name: str, num_bytes: int, sha256: str) -> RemoteFile:
    """num_bytes, sha256: as Hugging Face's `datasets` found them (datasets/covost2/dataset_infos.json of its 1.x)."""
    path = f"covost_v2.{name}.tsv.tar.gz"
    return RemoteFile(path, (f"{_COVOST}/{path}",), num_bytes, sha256)


def _fleurs(path: str, num_bytes: int, sha256: str) -> RemoteFile:
    """num_bytes, sha256: as several projects pin that revision."""
    return RemoteFile(path, tuple(_FLEURS.format(name) + path for name in _FLEURS_REVISIONS), num_bytes, sha256)


DATASETS = (
    Dataset(
        "librispeech",
        "LibriSpeech: read books, English",
        "https://www.openslr.org/12",
        "CC BY 4.0",
        librispeech.read,
        files=(
            _librispeech("dev-clean", 337_926_286, "42e2234ba48799c1f50f24a7926300a1"),
            _librispeech("dev-other", 314_305_928, "c8d0bcc9cca99d4f8b62fcc847357931"),
            _librispeech("test-clean", 346_663_984, "32fa31d27d2e1cad72775fee3f4849a9"),
            _librispeech("test-other", 328_757_843, "fb5a50374b501bb3bac4815ee91d3135"),
        ),
    ),
    Dataset(
        "common_voice_15",
        "Common Voice 15: sentences read by volunteers, in English, Mandarin, Cantonese and French",
        "https://commonvoice.mozilla.org/datasets",
        "CC0",
        common_voice.read,
        how_to_get=(
            "get release 15.0 (2023-09-08) of en, zh-CN, zh-HK and fr at https://commonvoice.mozilla.org/datasets or "
            "https://datacollective.mozillafoundation.org, which ask for your name and consent"
        ),
    ),
    Dataset(
        "fleurs",
        "FLEURS: sentences of Wikipedia, read, Mandarin",
        "https://huggingface.co/datasets/google/fleurs",
        "CC BY 4.0",
        fleurs.read,
        files=(
            _fleurs(
                "cmn_hans_cn/test.tsv",
                491_487,
                "5734461648f816181d7dab5fc79204b18c4b9bc2cd5138225b25c72d18385d21",
            ),
            _fleurs(
                "cmn_hans_cn/audio/test.tar.gz",
                525_346_466,
                "09d19ad18f5d7e91076880807e866cd16abd924c7052b55f71cdae91714fc166",
            ),
        ),
    ),
    Dataset(
        "aishell2",
        "AISHELL-2: read Mandarin through three channels",
        "https://www.aishelltech.com/aishell_2",
        "for academic use, on request",
        aishell2.read,
        how_to_get=(
            "ask for the development and test set (AISHELL-DEV-TEST-SET) with the form at "
            "https://www.aishelltech.com/aishell_2"
        ),
    ),
    Dataset(
        "covost2",
        "CoVoST 2: translations of sentences of Common Voice 4",
        "https://github.com/facebookresearch/covost",
        "CC0",
        covost2.read,
        files=(
            _covost2("en_zh-CN", 24_280_932, "7509b7c587326ef094c1e639111aef13f3888d26f707672dadec4d37d8e501d8"),
            _covost2("en_de", 25_779_505, "f414705b6197cc9a30cf05f8fc4471c8e99809a2c1f2c1da24a7ba617f42fce2"),
            _covost2("de_en", 9_926_797, "a64efc469ba7bd392de32538acf49ff05ac7fe83dd705b9a2a07573e63a2fedd"),
            _covost2("zh-CN_en", 587_550, "7a49bba59f8a05b68385e686a878332fb66080c12d4d85dc02b10f3f935447a4"),
            _covost2("es_en", 3_202_080, "aafb7255c00444cbff44ca92a947e16c8f7297f326b332f78b427f4f80240b97"),
            _covost2("fr_en", 7_282_129, "596d42accc976c607e7b4bd53903a0a03d5036af3b3ea276d7ff188981bb5b2f"),
            _covost2("it_en", 1_691_247, "da63a3ddf926a595971412e8fdf702405945ea6f9c6ac9de652a94fd6713183d"),
        ),
        how_to_get=(
            "get Common Voice 4 (2019-12-10) of en, de, zh-CN, es, fr and it, or of those you want, at "
            "https://commonvoice.mozilla.org/datasets or https://datacollective.mozillafoundation.org, which ask for "
            "your name and consent, and unpack each into a folder of that name beside the tables"
        ),
    ),
    Dataset(
        "meld",
        "MELD: lines of a series as films, with emotions",
        "https://affective-meld.github.io",
        "GPL-3.0",
        meld.read,
        download=meld.download,
    ),
    Dataset(
        "vocalsound",
        "VocalSound: laughter, sighs, coughs, throat clearing, sneezes, sniffs",
        "https://github.com/YuanGongND/vocalsound",
        "CC BY-SA 4.0",
        vocalsound.read,
        files=(
            RemoteFile("vs_release_16k.zip", ("https://www.dropbox.com/s/c5ace70qh1vbyzb/vs_release_16k.zip?dl=1",)),
        ),
    ),
    Dataset(
        "airbench",
        "AIR-Bench chat: open questions about speech, sounds and music, for a judge",
        "https://huggingface.co/datasets/qyang1021/AIR-Bench-Dataset",
        "CC BY-NC 4.0, and the terms of the sets it is made from",
        airbench.read,
        download=airbench.download,
    ),
    Dataset(
        debian_speech.DATASET,
        f"{debian_speech.DATASET}: human speech and sounds out of Debian packages",
        "https://packages.debian.org",
        "free software licences, one for each package",
        debian_speech.read,
        download=debian_speech.download,
        facts=lambda samples: facts_table(describe(samples)),
    ),
)
OFFICIAL_LISTS = "official-lists"
OFFICIAL_LIST_FILES = tuple(
    RemoteFile(f"{name}_eval.jsonl", (f"{_LISTS}/{name}_eval.jsonl",))
    for name in (
        "librispeech",
        "aishell2",
        "cv15_asr_en",
        "cv15_asr_zh",
        "cv15_asr_yue",
        "cv15_asr_fr",
        "fleurs_asr_zh",
        "covost2",
        "meld",
        "vocalsound",
        "airbench_level_3",
    )
)


def dataset_named(name: str) -> Dataset:
    """The data set of a name.

    Raises:
        UserError: there is none; the message names the nearest.
    """
    known = {dataset.name: dataset for dataset in DATASETS}
    if name not in known:
        near = nearest(known, name)
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known)}"
        raise UserError(f"unknown data set {name!r}; {hint}")
    return known[name]


def download(dataset: Dataset, folder: Path, watch: Watch) -> None:
    """Download what the publisher offers and unpack it where it lies; what is there already is left as it is.

    Raises:
        UserError: a file cannot be had, or the publisher offers none.
    """
    if not dataset.is_offered:
        raise UserError(
            f"{dataset.name} cannot be downloaded: {dataset.how_to_get}; then run auricle data prepare {dataset.name} "
            "--from DIR"
        )
    if dataset.download is not None:
        dataset.download(folder, watch)
    for file in dataset.files:
        path = fetch(file, folder, watch=watch)
        if file.name.endswith(_ARCHIVES):
            unpack(path, path.parent, watch=watch)
