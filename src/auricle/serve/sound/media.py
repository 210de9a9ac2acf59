"""What an `audio_url` names: https from public addresses, data inside the address, files where allowed."""

import base64
import binascii
import io
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from auricle.serve.settings import ServeSettings
from auricle.serve.sound.fetch import Fetcher
from auricle.serve.sound.files import open_allowed
from auricle.serve.sound.media_errors import PARAM, shown, too_large
from auricle.serve.wire.errors import ApiError


class Media:
    """Fetches recordings by address, and nothing that a stranger should not reach through this server.

    fetcher: for https; one that checks addresses where None.
    """

    def __init__(self, settings: ServeSettings, *, fetcher: Fetcher | None = None) -> None:
        self._most_bytes = settings.max_upload_mb * 10**6
        self._directory = settings.allow_local_media
        self._fetcher = fetcher or Fetcher(most_bytes=self._most_bytes, timeout_s=settings.fetch_timeout_s)

    def open(self, url: str) -> BinaryIO:
        """The recording's bytes, in a file object at its start, which the caller closes; blocks while it is fetched.

        Raises:
            ApiError: the address is not allowed, nothing is there, or it is too large.
        """
        scheme, colon, rest = url.partition(":")
        match scheme.lower() if colon else "":
            case "data":
                return self._data(rest)
            case "https":
                return self._fetcher.fetch(url)
            case "file" if self._directory is not None:
                return open_allowed(url, self._directory, self._most_bytes)
        raise ApiError(
            400,
            f"audio_url {shown(url)} is not allowed: expected https://..., or data:audio/wav;base64,...",
            param=PARAM,
        )

    def _data(self, rest: str) -> BinaryIO:
        head, comma, content = rest.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise ApiError(400, "audio_url holds no base64: expected data:audio/wav;base64,...", param=PARAM)
        if len(content) * 3 // 4 > self._most_bytes:
            raise too_large(self._most_bytes)
        try:
            recording = base64.b64decode(unquote_to_bytes(content), validate=True)
        except (binascii.Error, ValueError):
            raise ApiError(400, "audio_url holds damaged base64: expected A-Z a-z 0-9 + / =", param=PARAM) from None
        return io.BytesIO(recording)
