"""Personal data in text: found by form, and wherever the form has a check digit, by the check digit.

Numbers are judged by python-stdnum, telephones by phonenumbers (Google's numbering plans): what has the form but not
the checksum, or the digits but no such numbering, is not reported. Street addresses and names are not looked for: no
rule tells them from other text. Neither are numbers that are spelt out in words.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from auricle.errors import UserError

_END = r"(?![\w@]|[.,:/-]\d)"  # no letter, digit or further group follows
_START = r"(?<![\w@])(?<!\d[.,:/-])"
_EMAIL = re.compile(
    r"(?<![\w.+-])\w(?:[\w.+-]{0,62}[\w+-])?@(?:[a-z\d](?:[a-z\d-]*[a-z\d])?\.)+[a-z]{2,24}(?![\w@-])"
    r"|\b\w[\w.-]* at (?:gmail|googlemail|hotmail|outlook|yahoo|icloud|proton|protonmail|gmx|aol) dot [a-z]{2,3}\b",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(r"[ -]")
_IP = re.compile(rf"{_START}(?<!v)(?:\d{{1,3}}\.){{3}}\d{{1,3}}{_END}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """kind: `e-mail`, `phone`, `card`, `IBAN`, `national id` or `IP address`; the text has it at [start, end)."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Number:
    """A number with a rule: where it may stand, and stdnum's module that knows its checksum."""

    kind: str
    form: re.Pattern[str]
    module: str
    accept: Callable[[str], bool] = lambda number: True


def _form(pattern: str) -> re.Pattern[str]:
    """The longest that fits at every place, those that begin inside another as well."""
    return re.compile(f"{_START}(?=({pattern}){_END})", re.IGNORECASE)


def _is_issued(card: str) -> bool:
    """Issuer and length as cards have them: Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay."""
    digits = re.sub(r"\D", "", card)
    forms = (
        r"4\d{12}(?:\d{3}){0,2}",
        r"(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}",
        r"3[47]\d{13}",
        r"6(?:011|5\d\d|4[4-9]\d)\d{12}",
        r"35(?:2[89]|[3-8]\d)\d{12}",
        r"3(?:0[0-5]|[689]\d)\d{11}",
        r"62\d{14,17}",
    )
    return any(re.fullmatch(form, digits) for form in forms)


def _is_dated(nir: str) -> bool:
    """The month of birth in a French number: 01 to 12, or one of the codes for unknown ones."""
    return int(re.sub(r"\W", "", nir)[3:5]) in {*range(1, 13), *range(20, 43), *range(50, 100)}


_NUMBERS = (
    _Number("IBAN", _form(r"[a-z]{2}\d\d(?: ?[a-z\d]{4}){2,7}(?: ?[a-z\d]{1,3})?"), "stdnum.iban"),
    _Number("national id", _form(r"\d{17}[\dx]"), "stdnum.cn.ric"),
    _Number("card", _form(r"\d{13,19}|\d{4}(?:[ -]\d{2,6}){2,4}"), "stdnum.luhn", _is_issued),
    _Number("national id", _form(r"[12] ?\d\d ?\d\d ?(?:\d\d|2[ab]) ?\d{3} ?\d{3} ?\d\d"), "stdnum.fr.nir", _is_dated),
    _Number("national id", _form(r"\d{2} ?\d{3} ?\d{3} ?\d{3}"), "stdnum.de.idnr"),
    _Number("national id", _form(r"\d{8}-?[a-z]"), "stdnum.es.dni"),
    _Number("national id", _form(r"[xyz]-?\d{7}-?[a-z]"), "stdnum.es.nie"),
    _Number("national id", _form(r"[a-z]{6}\d[\da-z]{8}[a-z]"), "stdnum.it.codicefiscale"),
    _Number("national id", _form(r"\d{3}-\d{2}-\d{4}"), "stdnum.us.ssn"),
)


def find_personal(text: str, *, regions: Sequence[str] = ()) -> tuple[Finding, ...]:
    """What the text says about persons, in its order, no two findings over each other.

    - e-mail: an address at a domain with a top level; spoken (`anna at gmail dot com`) at large providers only.
    - IBAN, payment card (an issuer's prefix and length, Luhn's checksum), and national ids: Chinese, French, German
      (tax), Italian, Spanish (DNI and NIE) with their checksums; United States' by the rules of its form alone, so
      only where it is written 123-45-6789.
    - phone: international, `+` and a number that its country's plan has; with `regions`, national ones as well.
    - IP address: version 4, of the public internet, with two parts of two digits or more (1.2.3.4 numbers a section).

    Args:
        text: any.
        regions: countries whose national telephone numbers count, such as `DE`, because the data come from there.

    Raises:
        UserError: the extra `data` is not installed.
    """
    found = [Finding("e-mail", *match.span()) for match in _EMAIL.finditer(text)]
    found += _numbers(text)
    found += [Finding("IP address", *match.span()) for match in _IP.finditer(text) if _is_public(match.group())]
    found += _phones(text, regions)
    kept: list[Finding] = []
    for finding in found:  # the strictest rule first
        if all(finding.end <= other.start or other.end <= finding.start for other in kept):
            kept.append(finding)
    return tuple(sorted(kept, key=lambda finding: finding.start))


def _numbers(text: str) -> Iterator[Finding]:
    if not any(letter.isdigit() for letter in text):
        return
    for number in _NUMBERS:
        validator = None
        for match in number.form.finditer(text):
            validator = validator or _library(number.module)
            for candidate in _shorter(match.group(1)):
                if validator.is_valid(_SEPARATORS.sub("", candidate)) and number.accept(candidate):
                    yield Finding(number.kind, match.start(), match.start() + len(candidate))
                    break


def _shorter(candidate: str) -> Iterator[str]:
    """The whole, then without its last group, and so on: the next word may look like a group."""
    yield candidate
    for gap in reversed([match.start() for match in _SEPARATORS.finditer(candidate)]):
        yield candidate[:gap]


def _is_public(address: str) -> bool:
    try:
        parsed = ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return parsed.is_global and sum(len(part) > 1 for part in address.split(".")) >= 2


def _phones(text: str, regions: Sequence[str]) -> Iterator[Finding]:
    if not any(letter.isdigit() for letter in text) or not ("+" in text or "＋" in text or regions):
        return
    library = _library("phonenumbers")
    for region in (None, *regions):
        leniency = library.Leniency.VALID if region is None else library.Leniency.STRICT_GROUPING
        for match in library.PhoneNumberMatcher(text, region, leniency=leniency):
            yield Finding("phone", match.start, match.end)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            "looking for personal data needs python-stdnum and phonenumbers: pip install 'auricle[data]'"
        ) from error
