"""The package as a whole: what importing brings in, what it promises, and how large its pieces may grow."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import auricle

SOURCE = Path(auricle.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
MODULES = sorted(module.name for module in pkgutil.walk_packages([str(SOURCE)], prefix="auricle."))


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh process holds after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    assert not {"torch", "transformers", "numpy", "av", "typer"} & loaded_by("import auricle; auricle.__version__")


def test_plain_types_need_no_torch():
    assert "torch" not in loaded_by("import auricle; auricle.Sampling, auricle.UserError")


def test_every_module_imports_together_and_none_needs_transformers():
    loaded = loaded_by("import importlib\nfor name in " + repr(MODULES) + ": importlib.import_module(name)")
    assert set(MODULES) <= loaded
    assert "torch" in loaded
    assert not {"transformers", "rapidfuzz"} & loaded


def test_rooms_are_found():
    assert {"auricle.units", "auricle.model.splice", "auricle.cli.main", "auricle.weights.names"} <= set(MODULES)


@pytest.mark.parametrize("name", ["auricle", *MODULES])
def test_every_promised_name_exists(name: str):
    module = importlib.import_module(name)
    for promised in getattr(module, "__all__", ()):
        assert getattr(module, promised) is not None, f"{name}.{promised}"


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'auricle' has no attribute 'nope'"):
        _ = auricle.nope


def test_importing_sets_nothing_global():
    code = "import torch; before = (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())\n"
    code += "import auricle.assistant, auricle.cli.main, auricle.metrics\n"
    code += "assert before == (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())"
    loaded_by(code)


def test_no_room_is_called_utils():
    assert not [path for path in FILES if path.stem in {"utils", "util", "helpers", "common", "misc"}]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_stay_small(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > 60
    }
    assert not long
    assert text == "" or ast.get_docstring(tree), "a module says what it is for"


def test_no_assertion_guards_a_users_input():
    """`python -O` drops them; a user's mistake is a UserError."""
    with_assert = [
        str(path.relative_to(SOURCE))
        for path in FILES
        if any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    ]
    assert with_assert == []
