"""Every key of a recipe is also a flag."""

import pytest

from auricle.cli.train import overrides
from auricle.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], []),
        (["steps=3"], ["steps=3"]),
        (["--steps", "3", "--data.pack-tokens=9"], ["steps=3", "data.pack_tokens=9"]),
        (["--lora.targets", "a=b"], ["lora.targets=a=b"]),
        (["out=a-b"], ["out=a-b"]),
        (["oops"], ["oops"]),
    ],
)
def test_flags_become_settings(arguments, found):
    assert overrides(arguments) == found


def test_a_flag_without_a_value():
    with pytest.raises(UserError, match="--steps has no value; give one, for example --steps 1"):
        overrides(["--steps"])
