"""Every module is Python 3.7, stands on the standard library, and says what the controller needs to know."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

import r1fleet.modules
from r1fleet.agent.arguments import Spec

FOLDER = Path(r1fleet.modules.__file__).parent
SOURCES = sorted(FOLDER.glob("*.py"))
TASK_MODULES = [path.stem for path in SOURCES if not path.stem.startswith("_")]
TYPES = {"str", "path", "bool", "int", "float", "list", "dict", "raw", "bytes", "mode", "jsonarg", "bits"}


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_source_is_python_3_7(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_imports_are_the_standard_library_and_the_agent(path: Path) -> None:
    for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
        own = name.startswith(("r1fleet.agent", "r1fleet.modules"))
        assert own or name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.parametrize("name", TASK_MODULES)
def test_a_module_declares_itself(name: str) -> None:
    module = importlib.import_module(f"r1fleet.modules.{name}")
    assert callable(module.run)
    assert isinstance(getattr(module, "LOCAL", False), bool)
    for argument, row in Spec.of(module).arguments.items():
        assert row.get("type", "str") in TYPES, argument
        assert set(row) <= {"type", "required", "default", "choices", "aliases", "elements", "no_log", "options"}, (
            argument
        )


@pytest.mark.parametrize("name", TASK_MODULES)
def test_no_name_means_two_arguments(name: str) -> None:
    arguments = Spec.of(importlib.import_module(f"r1fleet.modules.{name}")).arguments
    names = [spelling for argument, row in arguments.items() for spelling in [argument, *(row.get("aliases") or [])]]
    assert len(names) == len(set(names))
