"""Numbers in Chinese characters, as speechio's chinese_text_normalization (cn_tn.py) writes them by default."""

import re

_DIGITS = "零一二三四五六七八九"
_POWERS = (*range(44, 4, -4), 4, 3, 2, 1)  # of ten, for each of the units
_UNITS = tuple(zip(_POWERS, "载正涧沟穰秭垓京兆亿万千百十", strict=True))
_LARGE = "载正涧沟穰秭垓京兆亿万千百"  # every unit but ten
_PAIR = re.compile(f"(?:^|(?<=[{_LARGE}]))二(?=[{_LARGE}])")


def digit_by_digit(text: str) -> str:
    """`2008` -> `二零零八`; whatever is no decimal digit (of any script) is left out."""
    return "".join(_DIGITS[int(sign)] for sign in text if sign.isdecimal())


def by_value(number: str) -> str:
    """`2050.5` -> `两千零五十点五`: decimal digits with one point among them at most.

    `两` stands for a two before any unit but ten, unless a ten or a zero goes before it; a leading `一十` is `十`; of
    zeros alone, unless it is a single one, nothing is left.
    """
    whole, _, decimals = number.partition(".")
    said = _PAIR.sub("两", _with_units(whole)) if len(whole) > 1 else digit_by_digit(whole)
    if decimals:
        said = f"{said or '零'}点{digit_by_digit(decimals)}"
    return said.removeprefix("一") if said.startswith("一十") else said


def _with_units(digits: str) -> str:
    """Digits, the first of which may be zeros: one `零` for them if a single digit follows."""
    significant = digits.lstrip("0")
    if len(significant) <= 1:
        return ("零" if significant and len(digits) > 1 else "") + digit_by_digit(significant)
    power, unit = next(unit for unit in _UNITS if unit[0] < len(significant))
    return _with_units(digits[:-power]) + unit + _with_units(significant[-power:])
