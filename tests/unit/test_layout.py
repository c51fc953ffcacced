"""The shape of the source tree that every other rule rests on."""

import importlib
import pkgutil
import tomllib
from pathlib import Path

import gantry

ROOT = Path(__file__).parents[2]


def test_operator_is_a_source_root_and_never_a_package() -> None:
    """A package named `operator` would hide the standard library's module and break every import."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not list((ROOT / "operator").glob("*.py"))


def test_every_room_says_what_is_public() -> None:
    for room in pkgutil.iter_modules(gantry.__path__):
        if not room.ispkg:
            continue
        module = importlib.import_module(f"gantry.{room.name}")
        assert module.__doc__, f"gantry.{room.name} has no docstring"
        assert len(set(module.__all__)) == len(module.__all__), f"gantry.{room.name}.__all__ repeats a name"
        missing = [name for name in module.__all__ if not hasattr(module, name)]
        assert not missing, f"gantry.{room.name}.__all__ names what it does not have: {missing}"


def test_the_version_stands_once_as_code_and_once_as_package() -> None:
    """The images hold the source alone, so the code cannot ask for the package's metadata."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert gantry.__version__ == project["version"]
