"""The model without memory: the names and shapes of the real one, and no library that only drawing numbers needs."""

import subprocess
import sys
from collections.abc import Callable

from auricle.model import Qwen2Audio, Qwen2AudioConfig, outline


def test_names_and_shapes_are_the_models(tiny_config: Callable[..., Qwen2AudioConfig]) -> None:
    for tied in (False, True):
        config = tiny_config(tied_head=tied)
        real, bare = Qwen2Audio(config).state_dict(), outline(config).state_dict()
        assert {name: t.shape for name, t in bare.items()} == {name: t.shape for name, t in real.items()}
        assert all(tensor.is_meta for tensor in bare.values())


def test_loading_a_model_does_not_import_what_it_does_not_need() -> None:
    """sympy comes in when numbers are drawn on the meta device, a second of every start."""
    code = (
        "import sys; from auricle.model import outline; from auricle.weights import locate, read_config\n"
        "before = len(sys.modules); outline(read_config(locate('mini'))); print(len(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50
