"""What `auricle serve` may be told, beside the model."""

from dataclasses import dataclass
from pathlib import Path

from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Where the server listens, who may use it, and how much it takes on.

    model_name: what /v1/models calls the model; any other name that a client sends means it too.
    host, port: 127.0.0.1 unless told otherwise: nobody outside this machine.
    api_key: clients must send it as `Authorization: Bearer KEY`, and the page asks for it; None asks for none.
    max_upload_mb: of one uploaded recording, MB of 10**6 bytes.
    max_body_mb: of any other request's body.
    body_timeout_s: a request's body may take so long, and a second more for every 4000 bytes of it.
    max_duration_s: of one recording, decoded.
    max_concurrency: so many requests are worked on at once.
    max_queue: so many more wait; further ones are answered 429.
    max_live: so many live connections are open at once; each piece of their work takes a turn as a request does. A
        second of sound in 40 ms messages takes 20 ms of the event loop (measured on a shared x86 core), so 32 take two
        thirds of it.
    decode_timeout_s: CPU time for decoding one recording, and the longest wait for its next second of sound.
    decode_memory_mb: memory for decoding one recording.
    fetch_timeout_s: for the whole of one `audio_url`.
    drain_timeout_s: after SIGTERM running requests may take so long to finish.
    allow_local_media: a directory that `file:` addresses may name files in; None allows none.
    page: whether the web page is served at /.
    """

    model_name: str = "mini"
    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    max_upload_mb: int = 1000
    max_body_mb: int = 64
    body_timeout_s: float = 60
    max_duration_s: float = 4 * 3600
    max_concurrency: int = 32
    max_queue: int = 256
    max_live: int = 32
    decode_timeout_s: float = 120
    decode_memory_mb: int = 1024
    fetch_timeout_s: float = 30
    drain_timeout_s: float = 600
    allow_local_media: Path | None = None
    page: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UserError(f"port must lie in 0 to 65535: got {self.port}; 0 takes a free one")
        if self.api_key is not None:
            _require_key(self.api_key)
        for name in ("max_upload_mb", "max_body_mb", "max_concurrency", "max_live", "decode_memory_mb"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1: got {getattr(self, name)}")
        for name in ("body_timeout_s", "max_duration_s", "decode_timeout_s", "fetch_timeout_s"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be above 0: got {getattr(self, name)}")
        for name in ("max_queue", "drain_timeout_s"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} must not be negative: got {getattr(self, name)}")
        if self.allow_local_media is not None and not self.allow_local_media.is_dir():
            raise UserError(f"--allow-local-media {self.allow_local_media} is not a directory; name one")


def _require_key(key: str) -> None:
    """Refuse what no header can carry."""
    if not key:
        raise UserError("the API key is empty; give one, or leave --api-key out")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError("the API key holds spaces or letters that a header cannot carry; expected printable ASCII")
