"""What all endpoints share, made once."""

import anyio
from starlette.requests import Request

from auricle.engines import Service
from auricle.serve.admission import Admission
from auricle.serve.settings import ServeSettings
from auricle.serve.sound.decoding import Decoder
from auricle.serve.sound.media import Media
from auricle.serve.status.metrics import Metrics
from auricle.serve.visit import Visit, until_gone


class Gateway:
    """The engine, the limits, the decoder of recordings and the counters behind one app.

    service: answers.
    settings: limits and names.
    decoder: bytes of a file -> sound, in a process with limits.
    media: `audio_url` -> bytes.
    num_live: live connections that are open; each piece of their work has a turn of its own.
    """

    def __init__(self, service: Service, settings: ServeSettings) -> None:
        self.service = service
        self.settings = settings
        self.admission = Admission(max_concurrency=settings.max_concurrency, max_queue=settings.max_queue)
        self.decoder = Decoder(settings)
        self.media = Media(settings)
        self.metrics = Metrics(self.admission, service, lambda: self.num_live)
        self.num_live = 0
        self._limiter: anyio.CapacityLimiter | None = None

    async def enter(self, client: Request | None = None, *, begun: bool = False) -> Visit:
        """Wait for a turn.

        begun: part of what was let in already, and so finished in a drain.
        client: whose body is read already; where it leaves, so does its place among those who wait.

        Raises:
            ApiError: 429, too many wait; 503, the server is stopping.
            GivenUpError: the client left.
        """
        await self.admission.enter(None if client is None else lambda: until_gone(client), begun=begun)
        try:
            if self._limiter is None:  # belongs to the event loop
                self._limiter = anyio.CapacityLimiter(2 * self.settings.max_concurrency)
            return Visit(self.admission, self.metrics.service, self._limiter)
        except BaseException:
            self.admission.leave()
            raise

    def close(self) -> None:
        """Give back the engine and the decoder's process."""
        self.service.close()
        self.decoder.close()
