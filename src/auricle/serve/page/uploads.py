"""Files that a browser sent, as sound; decoded by the gateway's decoder, never here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from auricle import units
from auricle.audio import Decoded, Waveform
from auricle.audio.load import blocks
from auricle.errors import UserError
from auricle.serve.gateway import Gateway
from auricle.serve.page.picture import Heard
from auricle.serve.page.stay import Stay

_ASKED_ABOUT_S = 600  # twice what fits the context of any published model: 8192 tokens at 25 a second


class Uploads:
    """Opens what lies in one folder, and nothing else; what a browser session used goes with it."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self._gateway = gateway
        self._folder = folder.resolve()
        self._used: dict[str, set[Path]] = {}

    @contextmanager
    def recording(self, path: str, stay: Stay, heard: Heard) -> Iterator[Decoded]:
        """One uploaded file to give to the assistant; what is heard of it is noted.

        Raises:
            UserError: it was not uploaded here, or is gone.
        """
        name = Path(path).name
        place = Path(path).resolve()
        if not place.is_relative_to(self._folder) or not place.is_file():
            raise UserError(f"{name} is not here any more; upload it again")
        self._used.setdefault(stay.session, set()).add(place)
        with place.open("rb") as file:
            decoded = self._gateway.decoder.decode(file, name)
            yield Decoded(name, lambda: heard.follow(stay.until_stopped(decoded.blocks())))

    def leave(self, session: str) -> None:
        """Remove what only this session used; gradio gives files of the same content one place."""
        used = self._used.pop(session, set())
        for place in used.difference(*list(self._used.values())):
            place.unlink(missing_ok=True)

    def whole(self, path: str, stay: Stay, heard: Heard) -> Waveform:
        """All of a recording that a question is about.

        Raises:
            UserError: it cannot be heard, or is longer than any model's context.
        """
        pieces: list[np.ndarray] = []
        with self.recording(path, stay, heard) as decoded:
            for block in blocks(decoded):
                pieces.append(block)
                if heard.num_samples > _ASKED_ABOUT_S * units.SAMPLE_RATE:
                    raise UserError(
                        f"{decoded.name} is longer than {_ASKED_ABOUT_S // 60} min, too long for a question; "
                        "transcribe it, or cut it"
                    )
        return Waveform(np.concatenate(pieces))
