"""What the names in the official lists tell: of the list, of its sources, of its recordings.

The names of the lists are those of the published evaluation page. How they spell their sources is not published, so
words are looked for, in any case and with any signs between them; a source that says too little keeps its own name.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from auricle.assistant.languages import language_code
from auricle.assistant.recognise import RECOGNISE, TRANSLATE
from auricle.errors import UserError
from auricle.evaluate.prompts import EMOTION, VOCAL_SOUND
from auricle.evaluate.sample import Task

_DATASETS = {  # what a name holds -> the data set; CoVoST first, its recordings are Common Voice's
    r"covost": "covost2",
    r"librispeech": "librispeech",
    r"cv_?15|common_?voice": "common_voice_15",
    r"fleurs|fluers": "fleurs",  # the published scripts write fluers
    r"aishell_?2": "aishell2",
    r"(?:^|_)meld(?:_|$)": "meld",
    r"vocal_?sound": "vocalsound",
    r"air_?bench": "airbench",
}
_TASKS: dict[str, Task] = {
    "librispeech": "asr",
    "common_voice_15": "asr",
    "fleurs": "asr",
    "aishell2": "asr",
    "covost2": "translation",
    "meld": "emotion",
    "vocalsound": "vocal_sound",
    "airbench": "chat",
}
_LANGUAGES = {"librispeech": "en", "aishell2": "zh", "meld": "en"}  # where there is one only
_BY_LANGUAGE = ("common_voice_15", "fleurs")  # whose sources are languages
_SPELLINGS = {
    "zh_cn": "zh",
    "cmn": "zh",
    "chinese": "zh",
    "mandarin": "zh",
    "zh_hk": "yue",
    "cantonese": "yue",
    "english": "en",
    "french": "fr",
}
_CODE = rf"{'|'.join(_SPELLINGS)}|zh|yue|en|fr|de|es|it|ja|ko"
_ONE_LANGUAGE = re.compile(rf"(?:^|_)({_CODE})(?=_|$)")
_DIRECTION = re.compile(rf"(?:^|_)({_CODE})_({_CODE})(?:_(dev|test|val|valid|validation))?(?=_|$)")
_DEV_WORDS = re.compile(r"(?:^|_)(?:dev|val|valid|validation)(?=_|$)")
_TEST_WORD = re.compile(r"(?:^|_)test(?=_|$)")
_TRANSLATE = re.compile(re.escape(TRANSLATE).replace(r"\{\}", "(.+?)"))
_TAG = re.compile(r"<\|([a-z]{2,3})\|>\s*\Z")
_SPEAKERS = {
    "librispeech": re.compile(r"(\d+)-\d+-\d+"),  # 1272-128104-0000
    "vocalsound": re.compile(r"([fm]\d+)_"),  # f0003_0_cough
    "aishell2": re.compile(r"[A-Z]?([A-Z]\d{4})W\d+"),  # IT0011W0001, in the folder T0011
}
_AIRBENCH_TASKS = (
    "speech_dialogue_QA",
    "speech_and_sound_QA",
    "speech_and_music_QA",
    "speech_QA",
    "sound_generation_QA",
    "sound_QA",
    "music_generation_analysis_QA",
    "music_QA",
)


@dataclass(frozen=True, slots=True)
class Told:
    """What names tell of a line.

    task: None where nothing tells it. speaker: of MELD the dialogue, as `datasets.meld` has it.
    """

    dataset: str
    source: str
    task: Task | None
    language: str | None = None
    target_language: str | None = None
    speaker: str | None = None


def dataset_of(name: str) -> str | None:
    """The data set that a list's or a source's name speaks of."""
    plain = _plain(name)
    return next((dataset for pattern, dataset in _DATASETS.items() if re.search(pattern, plain)), None)


def told(*, list_name: str, source: str, prompt: str, audio: str, dataset: str | None) -> Told:
    """What a line of a list tells by its names.

    Args:
        list_name: the file's, without its ending.
        source: as the line says; empty where it says none.
        prompt: the question.
        audio: the recording, as the line names it.
        dataset: where the caller knows it.
    """
    known = dataset or dataset_of(list_name) or dataset_of(source)
    named = _canonical(known, (source, list_name, audio)) if known else None
    own = named or source or known or list_name
    language, target = _languages(known, own, list_name, prompt)
    stem = PurePath(audio).stem
    return Told(known or own, own, _task(known, prompt), language, target, _speaker(known, own, stem))


def meld_speaker(source: str, stem: str) -> str | None:
    """What is resampled of MELD, see `datasets.meld`: the dialogue of a film `dia0_utt3`; None of another name."""
    dialogue = re.search(r"dia(\d+)_utt\d+", stem)
    return f"{source} dialogue {dialogue[1]}" if dialogue else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _task(dataset: str | None, prompt: str) -> Task | None:
    """As the published question asks, else as the data set is for."""
    asked: dict[str, Task] = {RECOGNISE: "asr", EMOTION: "emotion", VOCAL_SOUND: "vocal_sound"}
    if _TRANSLATE.match(prompt):
        return "translation"
    of_prompt = next((task for question, task in asked.items() if prompt.startswith(question)), None)
    return of_prompt or _TASKS.get(dataset or "")


def _canonical(dataset: str, texts: Sequence[str]) -> str | None:
    """The source's name as `evaluate.published` has it, by the first text that tells it."""
    find: dict[str, Callable[[str], str | None]] = {
        "librispeech": _librispeech,
        "common_voice_15": lambda text: _by_language("common_voice_15", text),
        "fleurs": lambda text: _by_language("fleurs", text),
        "aishell2": _aishell2,
        "covost2": _covost2,
        "meld": lambda text: _split_of("meld", text, "dev"),
        "vocalsound": lambda text: _split_of("vocalsound", text, "valid"),
        "airbench": _airbench,
    }
    if dataset not in find:
        return None
    return next((name for text in texts if (name := find[dataset](_plain(text)))), None)


def _librispeech(text: str) -> str | None:
    match = re.search(r"(dev|test)_(clean|other)", text)
    return f"librispeech_{match[1]}_{match[2]}" if match else None


def _by_language(dataset: str, text: str) -> str | None:
    match = _ONE_LANGUAGE.search(text)
    return f"{dataset}_{_code(match[1])}" if match else None


def _aishell2(text: str) -> str | None:
    match = re.search(r"(?:^|_)(mic|ios|android)(?=_|$)", text)
    return f"aishell2_{match[1]}" if match else None


def _covost2(text: str) -> str | None:
    match = _DIRECTION.search(text)
    if not match or not match[3]:
        return None
    return f"covost2_{_code(match[1])}_{_code(match[2])}_{'test' if match[3] == 'test' else 'dev'}"


def _split_of(dataset: str, text: str, dev: str) -> str | None:
    is_dev, is_test = bool(_DEV_WORDS.search(text)), bool(_TEST_WORD.search(text))
    return None if is_dev == is_test else f"{dataset}_{dev if is_dev else 'test'}"


def _airbench(text: str) -> str | None:
    """Recordings lie in folders `TASK_DATASET`."""
    return next((task for task in _AIRBENCH_TASKS if re.search(rf"(?:^|_){task.lower()}(?=_|$)", text)), None)


def _code(spelling: str) -> str:
    return _SPELLINGS.get(spelling, spelling)


def _languages(dataset: str | None, source: str, list_name: str, prompt: str) -> tuple[str | None, str | None]:
    """Spoken, and of a translation; as the source says, else the data set or the list, else the question."""
    direction = _DIRECTION.search(_plain(source)) if dataset == "covost2" else None
    if direction:
        return _code(direction[1]), _code(direction[2])
    tag, translate = _TAG.search(prompt), _TRANSLATE.match(prompt)
    asked = tag[1] if tag else None
    if translate:
        return asked, _target(translate[1])
    spoken = _LANGUAGES.get(dataset or "")
    if dataset in _BY_LANGUAGE:
        match = _ONE_LANGUAGE.search(_plain(source)) or _ONE_LANGUAGE.search(_plain(list_name))
        spoken = _code(match[1]) if match else None
    return spoken or asked, None


def _target(name: str) -> str | None:
    try:
        return language_code(name)
    except UserError:  # a language that has no code here
        return None


def _speaker(dataset: str | None, source: str, stem: str) -> str | None:
    if dataset == "meld":
        return meld_speaker(source, stem)
    pattern = _SPEAKERS.get(dataset or "")
    match = pattern.match(stem) if pattern else None
    return match[1] if match else None
