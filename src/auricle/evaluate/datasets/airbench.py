"""The chats of AIR-Bench as its publisher ships them: open questions about recordings, answers that a judge compares.

    Chat/Chat_meta.json         [{"path", "task_name", "dataset_name", "question", "answer_gt", "meta_info", "uniq_id"}]
    Chat/speech_QA_iemocap/Ses01.wav                Chat/{task_name}_{dataset_name}/{path}

2200 questions. A task is a source. meta_info, what the judge reads in place of the recording, stands in the sample's
details. A few recordings of SpokenWOZ are empty in the release (github.com/OFA-Sys/AIR-Bench, issue 6): they are found
when they are asked about.
Yang et al., arXiv:2402.07729; https://huggingface.co/datasets/qyang1021/AIR-Bench-Dataset (CC BY-NC 4.0, and the terms
of the sets it is made from).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from auricle.data.parallel import in_order
from auricle.data.reading import read_bytes, text_of
from auricle.errors import UserError
from auricle.evaluate.datasets.transcripts import nearest
from auricle.evaluate.download import RemoteFile, Watch, fetch
from auricle.evaluate.recordings import require_recordings
from auricle.evaluate.sample import Sample

HUB = "https://huggingface.co/datasets/qyang1021/AIR-Bench-Dataset/resolve/main"
META = "Chat/Chat_meta.json"
_TEXTS = ("path", "task_name", "dataset_name", "question", "answer_gt", "meta_info")
_NUM_CONNECTIONS = 4


def download(folder: Path, watch: Watch | None = None, *, address: str = HUB) -> None:
    """Fetch the list and the recordings that it names, several at a time.

    Args:
        folder: of the data set.
        watch: told how many bytes of recordings are there; how many there will be is not published.
        address: of the data set's files.

    Raises:
        UserError: something cannot be downloaded.
    """
    meta = fetch(RemoteFile(META, (f"{address}/{META}",)), folder)
    names = list(dict.fromkeys(f"Chat/{_audio(entry)}" for entry in _entries(meta)))
    files = [RemoteFile(name, (f"{address}/{quote(name)}",)) for name in names]
    num_bytes = 0
    for path in in_order(lambda number: fetch(files[number], folder), len(files), _NUM_CONNECTIONS):
        num_bytes += path.stat().st_size
        if watch is not None:
            watch(num_bytes, None)


def read(folder: Path) -> list[Sample]:
    """The samples of all chat tasks.

    Args:
        folder: `Chat`, or a folder that holds it.

    Raises:
        UserError: there is no list, it is not of the form, or recordings are missing.
    """
    found = nearest(folder, Path(META).name)
    if not found:
        raise UserError(f"no chats of AIR-Bench under {folder}; expected Chat/Chat_meta.json and Chat/TASK_DATASET/*")
    samples = [
        Sample(
            id=str(entry["uniq_id"]),
            dataset="airbench",
            source=entry["task_name"],
            task="chat",
            audio=found[0].parent / _audio(entry),
            prompt=entry["question"],
            reference=entry["answer_gt"],
            details=(("meta_info", entry["meta_info"]), ("dataset_name", entry["dataset_name"])),
        )
        for entry in _entries(found[0])
    ]
    _require_own_ids(samples, found[0])
    require_recordings(samples)
    return samples


def _audio(entry: Mapping[str, Any]) -> str:
    return f"{entry['task_name']}_{entry['dataset_name']}/{entry['path']}"


def _entries(meta: Path) -> Iterator[Mapping[str, Any]]:
    try:
        entries = json.loads(text_of(read_bytes(meta), str(meta)))
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{meta} is no list of AIR-Bench; expected a JSON list of questions, download it again")
    for number, entry in enumerate(entries):
        wrong = [key for key in _TEXTS if not isinstance(entry, dict) or not isinstance(entry.get(key), str)]
        if wrong or not isinstance(entry.get("uniq_id"), int | str):
            raise UserError(
                f"{meta}: entry {number} has no text as {', '.join(wrong) or 'uniq_id'}; expected {', '.join(_TEXTS)} "
                "and uniq_id"
            )
        yield entry


def _require_own_ids(samples: list[Sample], meta: Path) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise UserError(f"{meta} has the uniq_id {sample.id} twice; expected one for each question")
        seen.add(sample.id)
