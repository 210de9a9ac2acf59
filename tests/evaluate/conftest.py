"""The offline benchmark's real packages, fetched once for every slow test that needs them."""

from pathlib import Path

import pytest

from auricle.evaluate.datasets import debian_speech


@pytest.fixture(scope="session")
def debian_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data home whose debian-speech was fetched from Debian's mirror, without a list yet."""
    home = tmp_path_factory.mktemp("data_home")
    debian_speech.download(home / debian_speech.DATASET)
    return home
