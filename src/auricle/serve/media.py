"""What an `audio_url` names: https from public addresses, data inside the address, files where allowed."""

from typing import BinaryIO

from auricle.serve.errors import ApiError
from auricle.serve.settings import ServeSettings


class Media:
    """Fetches recordings by address, and nothing that a stranger should not reach through this server."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings

    def open(self, url: str) -> BinaryIO:
        """The recording's bytes, in a temporary file at its start; blocks while it is fetched.

        Raises:
            ApiError: the address is not allowed, nothing is there, or it is too large.
        """
        raise ApiError(400, f"cannot fetch {url[:80]}", param="audio_url")
