"""An answer that ran into its limit saying the same words over and over keeps them once."""

_MIN_TURNS = 3  # fewer repetitions may well have been said
_MAX_WORDS = 40  # of one turn of the loop


def drop_loop(text: str) -> str:
    """Cut a text whose end repeats one phrase at least three times after its first turn.

    The last word, which the limit may have broken, does not count; a broken last turn belongs to the loop.

    Worked example: `a b c b c b c b` ends in the loop `b c`, and becomes `a b c`.
    """
    words = text.split()[:-1]
    for period in range(1, min(_MAX_WORDS, len(words) // _MIN_TURNS) + 1):
        start = len(words) - period
        while start > 0 and words[start - 1] == words[start - 1 + period]:
            start -= 1
        if len(words) - start >= _MIN_TURNS * period:
            return " ".join(words[: start + period])
    return text
