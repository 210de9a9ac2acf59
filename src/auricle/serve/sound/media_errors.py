"""What is said of an `audio_url` that cannot be had."""

from auricle.serve.wire.errors import ApiError

PARAM = "audio_url"
_SHOWN_LETTERS = 80


def shown(url: str) -> str:
    """An address that a stranger chose, as messages may show it; without the name and password it may hold."""
    text = url.split("?")[0]
    scheme, slashes, rest = text.partition("//")
    host, slash, path = rest.partition("/")
    text = scheme + slashes + host.rpartition("@")[2] + slash + path
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:_SHOWN_LETTERS]


def too_large(most_bytes: int) -> ApiError:
    """413 for a recording."""
    return ApiError(
        413, f"the recording of audio_url is larger than {most_bytes / 10**6:g} MB, the limit here", param=PARAM
    )


def unreachable(url: str) -> ApiError:
    """One sentence for all that goes wrong on the way, so that nobody maps a private network with it."""
    return ApiError(
        400,
        f"cannot fetch {shown(url)}: no public server gives it over https; check the address, or send the recording "
        "itself",
        param=PARAM,
    )
