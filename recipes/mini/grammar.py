"""Made-up English: telephone prompts, numbers, dates, money and names, as a person would write what is heard.

A template holds {slots}; a slot is a list of strings (which may hold slots) or is made by a function. Numbers are
always words, so that text and speech match. Knows nothing of voices or of the test set.
"""

import random
import re
from collections.abc import Callable


def words(table: str) -> list[str]:
    """The words of a table written as running text."""
    return table.split()


ONES = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
TENS = words("_ _ twenty thirty forty fifty sixty seventy eighty ninety")
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
MONTHS = words("January February March April May June July August September October November December")
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
SURNAMES = words(
    "Adams Baker Barnes Bennett Brooks Butler Carter Chen Clarke Coleman Cooper Davis Diaz Edwards Evans Fisher "
    "Flores Foster Garcia Gibson Graham Grant Gray Green Hall Hamilton Harris Hayes Hill Howard Hughes Jackson "
    "Jenkins Johnson Kelly Kennedy Khan King Lee Lewis Long Lopez Marshall Martin Mason Miller Mitchell Moore "
    "Morgan Murphy Myers Nelson Nguyen Olson Owens Palmer Parker Patel Perry Phillips Porter Powell Price Ramirez "
    "Reed Reynolds Rivera Roberts Robinson Rogers Russell Sanders Scott Shaw Simmons Singh Smith Stevens Stewart "
    "Stone Sullivan Taylor Thompson Tucker Turner Walker Wallace Ward Washington Watson Webb West White Wilson Wood "
    "Wright Young"
)

LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
SPELLING = words(
    "Alpha Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliet Kilo Lima Mike November Oscar Papa Quebec Romeo "
    "Sierra Tango Uniform Victor Whiskey Zulu"
)


def cardinal(number: int) -> str:
    """Words for 0 <= number < 10**9: 123 -> 'one hundred twenty-three'."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + ("-" + ONES[number % 10] if number % 10 else "")
    for size, word in ((10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = number % size
            return cardinal(number // size) + " " + word + (" " + cardinal(rest) if rest else "")
    raise AssertionError(number)


def ordinal(number: int) -> str:
    """Words for 1 <= number < 10**9: 21 -> 'twenty-first'."""
    text = cardinal(number)
    last = re.split("[ -]", text)[-1]
    head = text.removesuffix(last)
    last = ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return head + last


def digits(rng: random.Random, count: int) -> str:
    """`count` digits read one by one; 'oh' now and then for zero."""
    zero = rng.choice(["zero", "zero", "oh"])
    return " ".join(zero if d == 0 else ONES[d] for d in (rng.randrange(10) for _ in range(count)))


def clock(rng: random.Random) -> str:
    """A time of day: 'ten forty-five A.M.', 'half past three'."""
    hour, minute = rng.randint(1, 12), rng.choice([0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, rng.randint(1, 59)])
    half = rng.choice([" A.M.", " P.M.", " in the morning", " in the afternoon", " in the evening", ""])
    if rng.random() < 0.2:
        return rng.choice(["half past ", "a quarter past ", "a quarter to ", "ten to "]) + ONES[hour]
    if minute == 0:
        return ONES[hour] + rng.choice([" o'clock", half or " o'clock"])
    return f"{ONES[hour]} {'oh ' if minute < 10 else ''}{cardinal(minute)}{half}"


def year(rng: random.Random) -> str:
    """A year between 1700 and 2039, in words."""
    value = rng.choice([rng.randint(1700, 1999), rng.randint(2000, 2039)])
    century, rest = divmod(value, 100)
    if value >= 2000 and (value < 2010 or rng.random() < 0.3):
        return "two thousand" + (" " + cardinal(value - 2000) if value > 2000 else "")
    tail = "hundred" if rest == 0 else ("oh " if rest < 10 else "") + cardinal(rest)
    return f"{cardinal(century)} {tail}"


def date(rng: random.Random) -> str:
    """A date: 'Monday, June twenty-first', 'the third of May, nineteen twelve'."""
    day, month = ordinal(rng.randint(1, 28)), rng.choice(MONTHS)
    return rng.choice(
        [
            f"{month} {day}",
            f"{rng.choice(DAYS)}, {month} {day}",
            f"the {day} of {month}",
            f"{month} {day}, {year(rng)}",
            f"the {day} of {month}, {year(rng)}",
            f"{rng.choice(DAYS)} the {day}",
            f"{rng.choice(DAYS)}, the {day} of {month}",
        ]
    )


def money(rng: random.Random) -> str:
    """An amount: 'twelve dollars and fifty cents'."""
    whole = rng.choice([rng.randint(1, 20), rng.randint(1, 100), rng.randint(1, 999), rng.randint(1, 60) * 1000])
    unit = rng.choice(["dollar", "dollar", "pound", "euro"])
    text = f"{cardinal(whole)} {unit}{'s' * (whole != 1)}"
    small = rng.randint(2, 99)
    return text + (f" and {cardinal(small)} {'pence' if unit == 'pound' else 'cents'}" if rng.random() < 0.5 else "")


def phone(rng: random.Random) -> str:
    """A telephone number in groups: 'five five five, one two one two'."""
    groups = rng.choice([(3, 4), (3, 4), (3, 3, 4), (4, 3, 3), (2, 2, 2, 2), (1, 3, 3, 4)])
    return ", ".join(digits(rng, n) for n in groups)


def number(rng: random.Random) -> str:
    """A cardinal of any usual size, small ones most often."""
    return cardinal(rng.randrange(rng.choice([21, 21, 100, 100, 1000, 10_000, 1_000_000, 20_000_000])))


def spelled(rng: random.Random) -> str:
    """Letters said one by one, or in the radio alphabet."""
    table = rng.choice([LETTERS, LETTERS, SPELLING])
    return (", " if table is SPELLING else " ").join(rng.choice(table) for _ in range(rng.randint(1, 4)))


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "n": lambda rng: cardinal(rng.randint(2, 60)),
    "key": lambda rng: rng.choice([*ONES[:10], *ONES[1:10], "star", "pound", "the star key", "the pound key"]),
    "digit": lambda rng: ONES[rng.randint(0, 9)],
    "nth": lambda rng: ordinal(rng.randint(1, 31)),
    "ext": lambda rng: digits(rng, rng.randint(2, 5)),
    "code": lambda rng: digits(rng, rng.randint(3, 7)),
    "big": number,
    "clock": clock, "date": date, "year": year, "money": money, "phone": phone, "letters": spelled,
    "day": lambda rng: rng.choice(DAYS), "month": lambda rng: rng.choice(MONTHS),
    "surname": lambda rng: rng.choice(SURNAMES),
    "deg": lambda rng: rng.choice(["", "", "", "minus "]) + cardinal(rng.randint(1, 100)),
}  # fmt: skip

NUMERIC = [
    "{big}", "{big}", "{big}.", "{clock}.", "{clock}", "{date}.", "{date}", "{money}.", "{phone}.", "{phone}",
    "{letters}", "{letters}.", "{nth}", "{year}.", "{code}.", "{ext}", "It is {clock}.", "On {date}, at {clock}.",
    "That will be {money}.", "The balance is {money}.", "{digit} times {digit}", "{deg} degrees",
    "{big} {unit}.", "{big} {unit}", "{n} point {digit}", "{n} percent", "{n} minus {digit}", "{n} plus {n}",
    "Chapter {n}.", "Page {n}.", "Room {ext}.", "Number {n}.", "The {nth} of {month}.", "Born in {year}.",
    "Call {phone}.", "In {month}, {year}.", "{day} at {clock}.", "{n} out of {n}", "The {nth} {unit1}.",
]  # fmt: skip


def expand(template: str, rng: random.Random, slots: dict[str, list[str]]) -> str:
    """Fill every {slot}, innermost too; the first letter becomes a capital.

    Raises:
        KeyError: for a slot that neither the tables nor the makers know.
    """

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        return rng.choice(slots[name]) if name in slots else MAKERS[name](rng)

    while "{" in template:
        template = re.sub(r"\{(\w+)\}", fill, template)
    template = re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", template).replace("..", ".")
    return template[:1].upper() + template[1:]
