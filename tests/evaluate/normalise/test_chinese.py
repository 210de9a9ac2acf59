"""Chinese texts as the published scripts compare them; whole sentences stand in pairs/zh.tsv and pairs/yue.tsv."""

import gc
import string
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.errors import UserError
from auricle.evaluate.normalise import chinese
from auricle.evaluate.normalise.chinese import cantonese, mandarin
from auricle.evaluate.normalise.chinese_numbers import by_value, digit_by_digit

DIGITS = "零一二三四五六七八九"
POWERS = {"十": 1, "百": 2, "千": 3, "万": 4} | dict(zip("亿兆京垓秭穰沟涧正载", range(8, 48, 4), strict=True))


def value_of(said: str) -> int:
    """Reads a Chinese number: the largest unit multiplies what stands before it."""
    units = [sign for sign in said if sign in POWERS]
    if not units:
        return int("".join(str(DIGITS.index(sign)) for sign in said.replace("两", "二")) or 0)
    largest = max(units, key=POWERS.__getitem__)
    before, _, after = said.rpartition(largest)
    return (value_of(before) if before else 1) * 10 ** POWERS[largest] + value_of(after)


@given(st.integers(1, 10**48 - 1))
def test_numbers_read_back_as_their_value(number: int):
    assert value_of(by_value(str(number))) == number


@given(st.integers(10, 10**12))
def test_two_is_liang_before_every_unit_but_ten(number: int):
    said = by_value(str(number))
    for sign, before, after in zip(said, f"^{said}", f"{said[1:]}$", strict=False):
        pair = before in "^百千万亿" and after in "百千万亿"
        assert (sign != "二") if pair else (sign != "两")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("0", "零"),
        ("000", ""),
        ("09", "零九"),
        ("0012", "零一十二"),  # zeros before two digits show once, and ten keeps its one
        ("10.50", "十点五零"),
        ("0.0", "零点零"),
        ("00.1", "零点一"),
        ("202", "两百零二"),
        ("1000000000000", "一兆"),
        ("1" + "0" * 48, "一万载"),
    ],
)
def test_numbers_by_value(number: str, said: str):
    assert by_value(number) == said


@given(st.text(st.characters(categories=["Nd"]) | st.sampled_from("+- ")))
def test_digits_of_every_script_are_read_one_by_one(text: str):
    said = digit_by_digit(text)
    assert [DIGITS.index(sign) for sign in said] == [int(sign) for sign in text if sign.isdecimal()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("^100$", "一百"),  # what stands for both ends in the published script goes with them
        ("31月32日", "三十一月三十二日"),  # no calendar is asked
        ("123月", "一百二十三月"),  # three digits are no month; 月 is a quantifier
        ("17012345678", "一七零一二三四五六七八"),
        ("+86", " 八十六"),
        ("1/2/3", "二分之一 三"),
        ("1.2.3", "一点二 三"),
        ("20%5%", "百分之二十百分之五"),
        ("2个2", "二个二"),
        ("1000毫克1000微克1000克", "一千毫克一千微克一零零零克"),  # 克 alone is no quantifier
        ("1000千米1000微米1000米", "一千千米一千微米一零零零米"),  # nor is 米
        ("1000余头1000几幢1000度", "一千余头一千几幢一零零零度"),  # nor is 度
        ("1000多万", "一千多万"),
        ("3千万5000", "三千万五"),  # 5 belongs to the money, 000 is left
        ("12块50", "十二块五零"),
        ("88年78年", "八八年七十八年"),  # 78 is no year of two digits
        (
            "12345678个，123456789个",
            "一二三四五六七八个 一亿两千三百四十五万六千七百八十九个",
        ),  # eight digits are a phone
        ("15412345678个", "一百五十四亿一千两百三十四万五千六百七十八个"),  # no mobile phone starts with 154
        ("abc二", "abc二"),  # letters on both sides, or 二 stays
        ("９０％", "百分之九十零"),  # a full-width zero is a digit, but no zero to leave out
    ],
)
def test_mandarin(text: str, said: str):
    assert mandarin(text) == said


def test_mobile_phones_need_a_sign_of_their_own_between_them():
    assert mandarin("+8613912345678，+8613912345679") == "八六一三九一二三四五六七八  八六一三九一二三四五六七九"
    assert mandarin("13912345678个") == "一三九一二三四五六七八个"
    assert mandarin("913912345678个") == "九千一百三十九亿一千两百三十四万五千六百七十八个"  # a digit before it


@given(st.text(st.sampled_from("0123456789０１.%/-+ 年月日号元块万千两二个名克米aBz，。我")))
def test_mandarin_leaves_digits_only_between_letters_and_no_punctuation(text: str):
    said = mandarin(text)
    assert not set(said) & set(string.punctuation + "，。％")
    for at, sign in enumerate(said):
        if sign.isdecimal():
            assert sign == "2"
            assert said[at - 1].isalpha()
            assert said[at + 1].isalpha()


@given(st.text(st.characters(exclude_categories=["Nd", "P", "S", "Cs"], exclude_characters="二")))
def test_mandarin_leaves_everything_else(text: str):
    assert mandarin(text) == text


def test_cantonese_is_simplified_and_then_lower_case_without_symbols():
    assert cantonese("佢話：「ＯＫ」(笑)，３個！") == "佢话 ok 3个 "


def test_the_table_is_closed_again(recwarn: pytest.WarningsRecorder):
    from zhconv import zhconv

    zhconv.zhcdicts = None
    chinese._zhconv.cache_clear()
    assert cantonese("計") == "计"
    gc.collect()
    assert not recwarn.list


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch):
    chinese._zhconv.cache_clear()
    monkeypatch.setitem(sys.modules, "zhconv", None)
    with pytest.raises(
        UserError, match="Chinese scripts are compared with zhconv: install it with pip install 'auricle"
    ):
        cantonese("計")
