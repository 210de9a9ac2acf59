"""Simple instructions and complex ones told apart, where the data do not say."""

import re
from collections.abc import Iterable

from auricle.conversation import Message

COMPLEXITIES = ("simple", "complex")
LONG_INSTRUCTION_WORDS = 25
LONG_ANSWER_WORDS = 50
# What asks for more than to repeat or to name: reasons, comparisons, developments, advice, texts of one's own.
_ASKS_TO_THINK = re.compile(
    r"\b(?:analy[sz]e|analysis|argue|assess|compare|compose|contrast|critique|deduce|discuss|elaborate|evaluate"
    r"|explain|evidence|hypothesi[sz]e|imagine|imply|implies|infer|interpret|justify|plan|predict|progression|propose"
    r"|reason(?:s|ing)?|recommend|step by step|suggest|summari[sz]e|summary|why)\b"
    r"|\bhow\b.*\b(?:change[sd]?|develops?|differs?|evolves?|progress(?:es)?|relates?|shifts?)\b"
    r"|分析|解释|解釋|为什么|為什麼|比较|比較|推断|推斷|推理|总结|總結|评价|評價|讨论|討論|建议|建議|如何.*变化",
    re.IGNORECASE,
)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")  # kana and Han


def judge_complexity(messages: Iterable[Message]) -> str:
    """`complex` or `simple`, by a rule: no reading, only signs.

    Complex is a conversation in which a typed instruction asks for reasons, comparison, development, advice or a text
    of one's own, or has 25 words or more, or in which an answer has 50 words or more. Two characters of kana or Han
    count as a word. A spoken instruction is not heard, so that only its answer tells.
    """
    for message in messages:
        text = " ".join(part for part in message.content if isinstance(part, str))
        longest = {"user": LONG_INSTRUCTION_WORDS, "assistant": LONG_ANSWER_WORDS}.get(message.role)
        if longest is not None and num_words(text) >= longest:
            return "complex"
        if message.role == "user" and _ASKS_TO_THINK.search(text):
            return "complex"
    return "simple"


def num_words(text: str) -> int:
    """Runs between spaces, and half as many as there are characters of kana and Han."""
    return len(_UNSPACED.sub(" ", text).split()) + len(_UNSPACED.findall(text)) // 2
