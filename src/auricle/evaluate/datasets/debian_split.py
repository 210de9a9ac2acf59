"""Which recordings of the Debian packages are test data, and when two texts count as the same.

`recipes/mini` obeys the same rule: a test recording, and any text equal to a test text after normalisation, is never
trained on, in any voice or language.
"""

import hashlib
import re
import unicodedata

TEST_DIGITS = "012"  # last hexadecimal digit of the sha1: 3 of 16, about 19 %


def is_test(identity: str) -> bool:
    """Whether a recording belongs to the test split.

    Args:
        identity: for Asterisk prompts the id without language and extension (`digits/7`, `vm-intro`); for Tux Paint
            the file stem without language suffix (`animals/cat`'s stem is `cat`).
    """
    return hashlib.sha1(identity.encode("utf-8")).hexdigest()[-1] in TEST_DIGITS


def normalise(text: str) -> str:
    """The form in which two texts are compared: case, punctuation, accents' encoding and spacing do not count."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[^\w]+|_", " ", text.replace("'", "").replace("’", "")).split())
