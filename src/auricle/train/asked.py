"""The form that an instruction asks an answer to have, and whether it has it."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_N = rf"(\d{{1,3}}|{'|'.join(_NUMBERS)})"
_ITEMS = r"(?:bullet points?|bullets|points|items|steps|reasons|examples|facts|ideas|tips|keywords|key points)"
_EXACT_WORDS = re.compile(rf"\b(?:in|with|using|exactly) {_N} words?\b|\b(one)[- ]word\b")
_MOST_WORDS = re.compile(rf"\b(?:at most|no more than|not more than|up to|within|maximum of) {_N} words\b")
_SENTENCES = re.compile(rf"\bin (?:exactly )?{_N} (?:\w+ )?sentences?\b")
_LIST = re.compile(rf"\b(?:list of|list|give|name)(?: me)? (?:exactly )?{_N} \w+|\b{_N} {_ITEMS}\b")
_JSON = re.compile(r"\b(?:as|in|valid|a) json\b|\bjson (?:object|format|array|list)\b")
_UPPER = re.compile(r"\b(?:upper[- ]?case|all caps|capital letters|block letters)\b")
_LOWER = re.compile(r"\blower[- ]?case\b")
_YES_NO = re.compile(r"\b(?:yes or no|yes/no)\b")
_TAG = re.compile(r"\blanguage tag\b")
_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S")
_SENTENCE_END = re.compile(r"[.!?。！？]+(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Check:
    """asks: in words. score: an answer's, from 0 (not at all) to 1 (as asked)."""

    asks: str
    score: Callable[[str], float]


def asked(instruction: str) -> list[Check]:
    """What an English instruction asks of the answer's form; none for one that asks for nothing we can verify.

    Worked example: "Answer in exactly three words, in upper case." -> 3 words; upper case.
    """
    return list(_checks(instruction.casefold()))


def _checks(text: str) -> Iterator[Check]:
    if _JSON.search(text):
        yield Check("valid JSON", _is_json)
    if most := _MOST_WORDS.search(text):
        yield _at_most(_value(most))
    elif exact := _EXACT_WORDS.search(text):
        yield _counted(f"{_value(exact)} words", _value(exact), num_words)
    if sentences := _SENTENCES.search(text):
        yield _counted(f"{_value(sentences)} sentences", _value(sentences), num_sentences)
    if (items := _LIST.search(text)) and "word" not in items[0] and "sentence" not in items[0]:
        yield _counted(f"{_value(items)} items", _value(items), num_items)
    if _UPPER.search(text):
        yield Check("upper case", lambda answer: float(answer.isupper()))
    if _LOWER.search(text):
        yield Check("lower case", lambda answer: float(answer.islower()))
    if _YES_NO.search(text):
        yield Check("yes or no", lambda answer: float(re.match(r"\W*(yes|no)\b", answer.casefold()) is not None))
    if _TAG.search(text):
        yield Check("a language tag first", lambda answer: float(re.match(r"\s*<\|[a-z]{2,3}\|>", answer) is not None))


def num_words(text: str) -> int:
    """Words, as white space parts them."""
    return sum(any(map(str.isalnum, word)) for word in text.split())


def num_sentences(text: str) -> int:
    """Sentences, an unfinished last one included."""
    parts = _SENTENCE_END.split(text)
    return sum(any(map(str.isalnum, part)) for part in parts)


def num_items(text: str) -> int:
    """Items of a list: lines with a bullet or a number; without those lines; on one line what commas part."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if isinstance(value, list):
        return len(value)
    lines = [line for line in text.splitlines() if line.strip()]
    marked = sum(_ITEM.match(line) is not None for line in lines)
    if marked:
        return marked
    return len(lines) if len(lines) > 1 else len([part for part in re.split(r",| and ", text) if part.strip()])


def _counted(asks: str, wanted: int, count: Callable[[str], int]) -> Check:
    return Check(asks, lambda answer: max(0.0, 1 - abs(count(answer) - wanted) / max(1, wanted)))


def _at_most(most: int) -> Check:
    def score(answer: str) -> float:
        num = num_words(answer)
        return float(num > 0) if num <= most else max(0.0, 1 - (num - most) / max(1, most))

    return Check(f"at most {most} words", score)


def _is_json(answer: str) -> float:
    try:
        return float(isinstance(json.loads(answer), dict | list))
    except json.JSONDecodeError:
        return 0.0


def _value(match: re.Match[str]) -> int:
    text = next(group for group in match.groups() if group)
    return _NUMBERS.index(text) + 1 if text in _NUMBERS else int(text)
