"""Chinese texts as the published evaluation compares them.

Mandarin goes through speechio's chinese_text_normalization (python/cn_tn.py, the copy in eval_audio of
QwenLM/Qwen2-Audio) with every flag off: numbers become Chinese characters and punctuation becomes spaces; full-width
forms, letters' case, fillers, erhua and traditional characters stay. Cantonese is converted to simplified characters
and then goes through Whisper's BasicTextNormalizer, as any other language; its numbers stay digits.
"""

import functools
import re
import string
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from auricle.errors import UserError
from auricle.evaluate.normalise.chinese_numbers import by_value, digit_by_digit
from auricle.evaluate.normalise.whisper import basic

_NUMBER = r"\d+(?:\.\d+)?"
_MONEY_UNIT = "(?:千万|百万|[亿万千百元块角毛分])"
_QUANTIFIER = (
    "(?:[千毫微]克|[千微]米|["
    "匹张座回场尾条个首阙阵网炮顶丘棵只支袭辆挑担颗壳窠曲墙群腔砣客贯扎捆刀令打手罗坡山岭江溪钟队单双对出口头脚板跳枝件贴"
    "针线管名位身堂课本页家户层丝毫厘分钱两斤铢石钧锱忽寸尺丈里寻常铺程撮勺合升斗盘碗碟叠桶笼盆盒杯斛锅簋篮罐瓶壶卮盏箩箱"
    "煲啖袋钵年月日季刻时周天秒旬纪岁世更夜春夏秋冬代伏辈丸泡粒幢堆根道面片块])"
)
_CHINESE_PUNCTUATION = (
    "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃《》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿"
    "–—‘’‛“”„‟…‧﹏·〈〉"  # the full-width full stop is not among them
)
_TO_SPACES = dict.fromkeys(map(ord, _CHINESE_PUNCTUATION + string.punctuation), " ")


def _date(found: str) -> str:
    return re.sub(r"\d+", lambda number: by_value(number[0]), re.sub(r"\d+年", _year, found))


def _year(found: re.Match[str]) -> str:
    return f"{digit_by_digit(found[0])}年"


def _money(found: str) -> str:
    return re.sub(_NUMBER, lambda number: by_value(number[0]), found)


def _fraction(found: str) -> str:
    numerator, denominator = found.split("/")
    return f"{by_value(denominator)}分之{by_value(numerator)}"


def _percent(found: str) -> str:
    return f"百分之{by_value(found.removesuffix('%'))}"


_RULES: tuple[tuple[str, Callable[[str], str]], ...] = (  # what the first group finds -> what is said
    (r"\D+((?:(?:[089]\d|(?:19|20)\d{2})年)?(?:\d{1,2}月(?:\d{1,2}[日号])?)?)", _date),
    (rf"\D+({_NUMBER}[多余几]?{_MONEY_UNIT}(?:\d{_MONEY_UNIT}?)?)", _money),
    (r"\D((?:\+?86 ?)?1(?:[38]\d|5[0-35-9]|7[678]|9[89])\d{8})\D", digit_by_digit),  # a mobile phone
    (r"\D((?:0(?:10|2[1-3]|[3-9]\d{2})-?)?[1-9]\d{6,7})\D", digit_by_digit),  # any other phone
    (r"(\d+/\d+)", _fraction),
    (rf"({_NUMBER}%)", _percent),
    (rf"({_NUMBER})[多余几]?{_QUANTIFIER}", by_value),
    (r"(\d{4,32})", digit_by_digit),
    (rf"({_NUMBER})", by_value),
    ("([a-zA-Z]+二[a-zA-Z]+)", lambda found: found.replace("二", "2")),  # B2B
)


def mandarin(text: str) -> str:
    """Numbers in Chinese characters, punctuation as spaces: `3月5日，共12块5` -> `三月五日 共十二块五`.

    What a rule finds is replaced where it first stands in the text, even inside a longer number, as the published
    script does: `15和5个` -> `一五和五个`.
    """
    text = f"^{text}$".replace("％", "%")
    for pattern, said in _RULES:
        for found in re.finditer(pattern, text):
            text = text.replace(found[1], said(found[1]), 1)
    return text.lstrip("^").rstrip("$").translate(_TO_SPACES)


def cantonese(text: str) -> str:
    """Simplified characters and the words of the mainland, then Whisper's Basic normaliser.

    Raises:
        UserError: zhconv or whisper-normalizer is not installed.
    """
    return basic(_zhconv().convert(text, "zh-cn"))


def simplified(text: str) -> str:
    """Simplified characters; unlike zh-cn, which the published scripts ask for, it changes no words.

    Raises:
        UserError: zhconv is not installed.
    """
    return _zhconv().convert(text, "zh-hans")


@functools.cache
def _zhconv() -> ModuleType:
    """The library with its table loaded; the scripts of 2024 could have no newer one than ours, 1.4.3 of 2021."""
    try:
        with warnings.catch_warnings(action="ignore"):  # it looks for pkg_resources, which warns of its own end
            import zhconv
    except ImportError as error:
        raise UserError(
            "Chinese scripts are compared with zhconv: install it with pip install 'auricle[eval]'"
        ) from error
    zhconv.loaddict(str(Path(zhconv.__file__).with_name("zhcdict.json")))  # its own way leaves the file open
    return zhconv
