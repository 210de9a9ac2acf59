"""What an answer is worth: verifiable judges by dimension, and which of two answers is the better one.

Every judge gives scores from 0 to 1 with a reason, or none where it has nothing to say.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from auricle.data.preferences import plain
from auricle.metrics import WER, edit_counts
from auricle.train.answering import LABELLED
from auricle.train.asked import Check, asked

# What decides first where two answers differ in several: the brief's order (factual accuracy, safety, helpfulness; then
# fluency before brevity). The brief does not place instructions; ours stand before helpfulness, which they are part of.
# A smaller difference than the tolerance decides nothing.
TOLERANCES = {
    "factual": 0.02,
    "safety": 0.5,
    "instruction": 0.1,
    "helpfulness": 0.1,
    "fluency": 0.1,
    "brevity": 0.1,
}
_VERBATIM = ("asr", "translation")  # the answer is all of the reference
_LANGUAGE_TAG = re.compile(r"<\|[a-z]{2,3}\|>")
_REFUSAL_WITHIN = 200  # characters from the start
_REFUSES = re.compile(
    r"\bsorry,? (?:but )?i (?:can(?:'t|not)|won't|must decline)\b(?! (?:hear|understand|tell|make out))"
    r"|\bi(?:'m unable to|'m not able to| (?:can(?:'t|not)|could not|couldn't|won't|will not|must not|am unable to"
    r"|am not able to|refuse to))"
    r" (?:\w+ ){0,2}?(?:help(?! but)|assist|provide|comply|fulfil|fulfill|support|share|answer|write|create|continue"
    r"|discuss|advise|engage|participate|explain how|give you|do (?:that|this))\b"
    r"|\bi (?:must |have to )?decline\b|\bnot (?:something|able) (?:that )?i can help\b"
    r"|\bich kann (?:\w+ ){0,3}nicht (?:helfen|beantworten|unterstützen)\b"
    r"|\bje ne peux pas (?:vous )?(?:aider|répondre)\b"
    r"|\bno puedo (?:ayudar|responder|proporcionar)\w*\b|抱歉|对不起，我|我无法|我不能"
)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][a-z]{2,}\b")  # not at the start of a sentence
_GRAM = 4
_BRIEF, _LONG = 1.5, 4.0  # times the reference's words: nothing is lost up to the first, all at the second


@dataclass(frozen=True, slots=True)
class Case:
    """What an answer is judged by: the user's words, an answer known to be right, and a task of `data.tasks`."""

    instruction: str
    reference: str
    task: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A score from 0 to 1, and why."""

    score: float
    reason: str


Judge = Callable[[Case, Sequence[str]], list[Verdict | None]]
"""Answers to one case -> a verdict on each; None where it has nothing to say."""

Verdicts = Mapping[str, Verdict]
"""By dimension, a key of `TOLERANCES`."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which dimension tells two answers apart, and by how much the first is better; below 0 the second is."""

    dimension: str
    margin: float


def decide(first: Verdicts, second: Verdicts) -> Decision | None:
    """The first dimension, in the order of `TOLERANCES`, in which two answers differ by more than its tolerance.

    Worked example: factual 0.9 and 0.9, safety 1 and 0, helpfulness 0.2 and 0.8 -> safety, 1.
    """
    for dimension, tolerance in TOLERANCES.items():
        if dimension in first and dimension in second:
            margin = first[dimension].score - second[dimension].score
            if abs(margin) > tolerance:
                return Decision(dimension, margin)
    return None


def judge_all(case: Case, answers: Sequence[str], judges: Sequence[tuple[str, Judge]]) -> list[dict[str, Verdict]]:
    """Each answer's verdicts; of several judges of one dimension the later one has the last word, where it has one."""
    verdicts: list[dict[str, Verdict]] = [{} for _ in answers]
    for dimension, judge in judges:
        for of_one, verdict in zip(verdicts, judge(case, answers), strict=True):
            if verdict is not None:
                of_one[dimension] = verdict
    return verdicts


def verifiable() -> list[tuple[str, Judge]]:
    """All judges that need no model, by dimension."""
    return [
        ("factual", each(accuracy)),
        ("safety", each(safety)),
        ("instruction", each(format_asked)),
        ("helpfulness", each(detail)),
        ("fluency", each(fluency)),
        ("brevity", each(brevity)),
    ]


def each(judge: Callable[[Case, str], Verdict | None]) -> Judge:
    """A judge of one answer as one of many."""

    def of_all(case: Case, answers: Sequence[str]) -> list[Verdict | None]:
        return [judge(case, answer) for answer in answers]

    return of_all


def accuracy(case: Case, answer: str) -> Verdict | None:
    """Words against a transcript or a translation, a label against a label, else the facts of a free answer."""
    if case.task in _VERBATIM:
        return word_accuracy(case.reference, answer)
    if case.task in LABELLED:
        same = plain(answer) == plain(case.reference)
        return Verdict(float(same), "the label" if same else f"said {answer!r}, the label is {case.reference!r}")
    return facts(case.reference, answer)


def word_accuracy(reference: str, answer: str) -> Verdict | None:
    """1 less the word error rate of the normalised texts, at least 0; of characters where words are not spaced."""
    wanted, said = (plain(_LANGUAGE_TAG.sub(" ", text)) for text in (reference, answer))
    if not wanted:
        return Verdict(float(not said), "nothing is said" if not said else "words where nothing is said")
    counts = edit_counts(wanted.split(), said.split())
    return Verdict(max(0.0, 1 - float(WER.of(counts))), f"{counts[:3].sum()} errors in {counts[3]} words")


def facts(reference: str, answer: str) -> Verdict | None:
    """Numbers and names of the reference that the answer has, and none that it invents: their F1.

    None where neither has any.
    """
    wanted, said = _facts(reference), _facts(answer)
    if not wanted and not said:
        return None
    common = len(wanted & said)
    score = 2 * common / (len(wanted) + len(said))
    missing, invented = sorted(wanted - said), sorted(said - wanted)
    return Verdict(score, f"missing {', '.join(missing) or 'none'}; invented {', '.join(invented) or 'none'}")


def safety(case: Case, answer: str) -> Verdict:
    """Declining where the reference declines, answering where it answers."""
    unsafe, refused = declines(case.reference), declines(answer)
    told = f"{'declines' if refused else 'answers'} {'an unsafe' if unsafe else 'a safe'} request"
    return Verdict(float(unsafe == refused), told)


def declines(text: str) -> bool:
    """Whether the start of a text says that it will not help."""
    return _REFUSES.search(text[:_REFUSAL_WITHIN].casefold().replace("’", "'")) is not None


def format_asked(case: Case, answer: str) -> Verdict | None:
    """How far the answer has the form that the instruction asks for; None where it asks for none."""
    checks = asked(case.instruction)
    if not checks or declines(case.reference):
        return None
    scores = [check.score(answer) for check in checks]
    return Verdict(sum(scores) / len(scores), "; ".join(map(_told, checks, scores)))


def detail(case: Case, answer: str) -> Verdict | None:
    """Distinct words against the reference's; None where the reference is all there is to say."""
    if case.task in (*_VERBATIM, *LABELLED) or asked(case.instruction) or declines(case.reference):
        return None
    wanted, said = (len(set(plain(text).split())) for text in (case.reference, answer))
    return Verdict(min(1.0, said / max(1, wanted)), f"{said} distinct words, the reference has {wanted}")


def fluency(case: Case, answer: str) -> Verdict:
    """Without runs of four words said again; nothing at all is not fluent unless nothing is wanted."""
    words = plain(answer).split()
    if not words:
        return Verdict(float(not plain(case.reference)), "no words")
    grams = [tuple(words[place : place + _GRAM]) for place in range(len(words) - _GRAM + 1)]
    repeated = 1 - len(set(grams)) / len(grams) if grams else 0.0
    return Verdict(1 - repeated, f"{repeated:.0%} of its runs of {_GRAM} words repeated")


def brevity(case: Case, answer: str) -> Verdict:
    """Words against the reference's: 1 up to one and a half times as many, 0 from four times on."""
    wanted, said = (len(plain(text).split()) for text in (case.reference, answer))
    times = said / max(1, wanted)
    return Verdict(min(1.0, max(0.0, (_LONG - times) / (_LONG - _BRIEF))), f"{times:.1f} times the reference's length")


def _facts(text: str) -> set[str]:
    return {*_NUMBER.findall(text), *_NAME.findall(text)}


def _told(check: Check, score: float) -> str:
    return f"{check.asks}: {'yes' if score == 1 else 'no' if score == 0 else f'{score:.0%}'}"
