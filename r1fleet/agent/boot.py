"""The first code of the bundle to run: imports come from the bundle, then the agent starts."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any, Dict, NamedTuple, Optional, Sequence


class Start(NamedTuple):
    """How this agent was started, and all it needs to start another like itself."""

    receive: int
    send: int
    bundle: bytes
    stub: str


class Bundle(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads modules in memory; they are compiled when first imported."""

    def __init__(self, sources: Dict[str, str]) -> None:
        self._sources = sources
        self._packages = {name.rpartition(".")[0] for name in sources}

    def find_spec(
        self, fullname: str, path: Optional[Sequence[Any]], target: Optional[ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        """Find a module of the bundle."""
        if fullname not in self._sources:
            return None
        origin = "<r1fleet>/%s.py" % fullname.replace(".", "/")
        spec = importlib.util.spec_from_loader(fullname, self, origin=origin, is_package=fullname in self._packages)
        if spec is not None:
            spec.has_location = True
        return spec

    def get_source(self, fullname: str) -> str:
        """Return a module's text, for tracebacks too."""
        try:
            return self._sources[fullname]
        except KeyError:
            raise ImportError(fullname) from None

    def is_package(self, fullname: str) -> bool:
        """Tell whether a module of the bundle holds others."""
        return fullname in self._packages

    def exec_module(self, module: ModuleType) -> None:
        """Compile and run a module."""
        path = "<r1fleet>/%s.py" % module.__name__.replace(".", "/")
        exec(compile(self._sources[module.__name__], path, "exec", dont_inherit=True), module.__dict__)


def start(receive: int, send: int, bundle: bytes, stub: str, sources: Dict[str, str]) -> None:
    """Import from ``sources`` from now on and serve until the controller is gone."""
    sys.meta_path.insert(0, Bundle(sources))
    importlib.import_module("r1fleet.agent.main").serve(Start(receive, send, bundle, stub))
