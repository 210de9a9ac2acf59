"""Personal data in text: what is found, what only looks like it, and every checksum against one written here."""

import itertools
import string
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from auricle.data.personal import find_personal
from auricle.errors import UserError


def kinds(text: str, **settings: object) -> list[tuple[str, str]]:
    return [(finding.kind, text[finding.start : finding.end]) for finding in find_personal(text, **settings)]


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("Write to anna.b+lists@mail.example.co.uk.", "e-mail", "anna.b+lists@mail.example.co.uk"),
        ("(max_m@firma.de)", "e-mail", "max_m@firma.de"),
        ("it is anna at gmail dot com, thanks", "e-mail", "anna at gmail dot com"),
        ("Call +49 30 901820 now", "phone", "+49 30 901820"),
        ("+1 (212) 736-5000", "phone", "+1 (212) 736-5000"),
        ("打 +86 138 0013 8000 给我", "phone", "+86 138 0013 8000"),
        ("my card 4111 1111 1111 1111 123", "card", "4111 1111 1111 1111"),
        ("4111-1111-1111-1111,", "card", "4111-1111-1111-1111"),
        ("Amex 3782 822463 10005", "card", "3782 822463 10005"),
        ("IBAN DE89 3704 0044 0532 0130 00 bitte", "IBAN", "DE89 3704 0044 0532 0130 00"),
        ("AT61 1904 3002 3457 3201 when it", "IBAN", "AT61 1904 3002 3457 3201"),
        ("GB82WEST12345698765432", "IBAN", "GB82WEST12345698765432"),
        ("身份证 11010519491231002X。", "national id", "11010519491231002X"),
        ("n° 2 95 10 99 126 111 93", "national id", "2 95 10 99 126 111 93"),
        ("253072B07300470", "national id", "253072B07300470"),
        ("Steuer-ID: 36 574 261 809", "national id", "36 574 261 809"),
        ("DNI 12345678Z", "national id", "12345678Z"),
        ("NIE X-1234567-L", "national id", "X-1234567-L"),
        ("codice RCCMNL83S18D969H", "national id", "RCCMNL83S18D969H"),
        ("SSN 536-90-4399.", "national id", "536-90-4399"),
        ("from 142.250.74.46:", "IP address", "142.250.74.46"),
    ],
)
def test_what_is_personal_is_found_where_it_stands(text: str, kind: str, found: str):
    assert kinds(text) == [(kind, found)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "In 1998-2004, on 2026-11-22 at 16:30:45, from 1914 to 1918.",
        "/ˈnʌmbə/ in room 4.12 on floor 12, page 1234, ISBN 978-3-16-148410-0",
        "pi is 3.14159265358979 and 1,234,567,890,123,456 is large",
        "555-0199, 0800 123, 112, 911, +5 degrees, +12, 2+2=4",
        "+49 1",  # no number of Germany's plan
        "+999 123456789",  # no country
        "4111 1111 1111 1112",  # Luhn fails
        "9111111111111111",  # Luhn fits no issuer that there is
        "0000 0000 0000 0000",
        "4111111111111111.5",  # part of a decimal
        "DE89 3704 0044 0532 0130 01",
        "XX89370400440532013000",  # no such country
        "110105194912310021",
        "11010519491331002X",  # month 13
        "36574261890",
        "12345678A",
        "X1234567A",
        "RCCMNL83S18D969A",
        "078-05-1120",  # printed on a card in 1938, never valid since
        "666-12-1234 and 000-12-1234 and 912-12-1234 and 536904399",
        "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6",
        "127.0.0.1, 192.168.178.20, 10.0.0.12, 999.888.77.66, section 1.2.3.4, v142.250.74.46",
        "user@localhost, @handle, a@b, look at the dot com, meet me at noon",
        "3@4.56",
    ],
)
def test_what_only_looks_like_it_is_not(text: str):
    assert kinds(text) == []


def test_several_findings_stand_in_the_order_of_the_text():
    text = "a@b.de, +49 30 901820, 4111111111111111 and 12345678Z"
    assert [kind for kind, _ in kinds(text)] == ["e-mail", "phone", "card", "national id"]


def test_national_telephone_numbers_count_where_the_data_come_from():
    text = "ruf 030 901820 an"
    assert kinds(text) == []
    assert kinds(text, regions=["DE"]) == [("phone", "030 901820")]
    assert kinds("in 1998 waren es 2004", regions=["DE"]) == []


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text(string.digits, min_size=count, max_size=count)


def luhn(payload: str) -> str:
    doubled = [int(d) * (2 if place % 2 == 0 else 1) for place, d in enumerate(reversed(payload))]
    return payload + str(-sum(n // 10 + n % 10 for n in doubled) % 10)


def iban(payload: str) -> str:
    bban = payload + "00"
    remainder = int("".join(str(int(c, 36)) for c in f"{bban}DE00")) % 97
    return f"DE{98 - remainder:02d}{bban}"


def chinese(serial: str) -> str:
    body = f"11010519900307{serial}"
    return body + "10X98765432"[sum(int(d) * 2 ** (17 - place) for place, d in enumerate(body)) % 11]


def french(serial: str) -> str:
    body = f"1850578{serial}"
    return f"{body}{97 - int(body) % 97:02d}"


def spanish(number: str) -> str:
    return number + "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23]


def german(seed: str) -> str:
    body = ("1234567890"[int(seed) % 9 :] + "1234567890")[:9]
    body += body[int(seed) % 7]  # one digit twice
    product = 10
    for digit in body:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return body + str((11 - product) % 10)


def italian(serial: str) -> str:
    body = f"RSSMRA85T10A{serial}"
    odd = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
        10, 22, 25, 24, 23,
    ], strict=True))  # fmt: skip
    even = {c: int(c) if c.isdigit() else ord(c) - 65 for c in odd}
    total = sum((even if place % 2 else odd)[c] for place, c in enumerate(body))
    return body + chr(65 + total % 26)


@pytest.mark.parametrize(
    ("make", "payload", "kind"),
    [
        (luhn, digits(14).map("4".__add__), "card"),
        (luhn, digits(13).map("53".__add__), "card"),
        (iban, digits(16), "IBAN"),
        (chinese, digits(3), "national id"),
        (french, digits(6), "national id"),
        (spanish, digits(8), "national id"),
        (german, digits(2), "national id"),
        (italian, digits(3), "national id"),
    ],
)
def test_a_right_checksum_is_found_and_one_changed_digit_is_not(make, payload, kind):
    @given(payload=payload, data=st.data())
    def check(payload: str, data: st.DataObject) -> None:
        number = make(payload)
        assert kinds(f"it is {number}, yes") == [(kind, number)]
        places = [place for place, character in enumerate(number) if character.isdigit()]
        place = data.draw(st.sampled_from(places))
        other = data.draw(st.sampled_from([d for d in string.digits if d != number[place]]))
        assert kinds(f"it is {number[:place]}{other}{number[place + 1 :]}, yes") == []

    check()


@given(text=st.text(st.sampled_from("0123456789 -.+@abXZ:/"), max_size=60))
def test_findings_lie_in_the_text_and_never_over_each_other(text: str):
    found = find_personal(text)
    assert all(0 <= finding.start < finding.end <= len(text) for finding in found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))


@given(number=digits(16))
def test_random_digits_are_rarely_a_card(number: str):
    assume(number[0] not in "23456")
    assert kinds(number) == []


@pytest.mark.parametrize(("module", "text"), [("stdnum.luhn", "4111111111111111"), ("phonenumbers", "+49 30 901820")])
def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch, module: str, text: str):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"needs python-stdnum and phonenumbers: pip install 'auricle\[data\]'"):
        find_personal(text)
