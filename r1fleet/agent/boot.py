"""The first code of the bundle to run: imports come from the bundle, then the agent starts."""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import sys
from types import ModuleType
from typing import Any, Dict, NamedTuple, Optional, Sequence


class Start(NamedTuple):
    """How this agent was started, and all it needs to start another like itself."""

    receive: int
    send: int
    bundle: bytes
    stub: str


class Bundle:
    """Finds and loads modules in memory; they are compiled when something of theirs is first asked for.

    So ``from r1fleet.modules import _http`` costs nothing until ``_http.download`` runs, and a process that only passes
    frames on never compiles what runs modules.

    The abstract classes of ``importlib.abc`` are not inherited: importing them doubles the agent's start.
    """

    def __init__(self, sources: Dict[str, str]) -> None:
        self._sources = sources
        self._packages = {name.rpartition(".")[0] for name in sources}

    def find_spec(
        self, fullname: str, path: Optional[Sequence[Any]], target: Optional[ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        """Find a module of the bundle."""
        if fullname not in self._sources:
            return None
        spec = importlib.machinery.ModuleSpec(
            fullname,
            self,  # type: ignore[arg-type]
            origin=_path(fullname),
            is_package=fullname in self._packages,
        )
        spec.has_location = True
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Optional[ModuleType]:
        """Leave it to the import system."""
        return None

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
        """Have a module compiled and run as soon as it is looked into."""
        names = module.__dict__

        def look(name: str) -> Any:
            if name.startswith("__"):  # the import system looks for __path__ and the like
                raise AttributeError(name)
            del names["__getattr__"]
            try:
                self._run(module)
            except BaseException:
                names["__getattr__"] = look
                raise
            return getattr(module, name)

        names["__getattr__"] = look

    def _run(self, module: ModuleType) -> None:
        source = self._sources[module.__name__]
        exec(compile(source, _path(module.__name__), "exec", dont_inherit=True), module.__dict__)


def start(receive: int, send: int, bundle: bytes, stub: str, sources: Dict[str, str]) -> None:
    """Import from ``sources`` from now on and serve until the controller is gone."""
    gc.set_threshold(20000)  # compiling allocates much and leaves nothing to collect: a tenth of the start
    sys.meta_path.insert(0, Bundle(sources))
    importlib.import_module("r1fleet.agent.main").serve(Start(receive, send, bundle, stub))


def _path(fullname: str) -> str:
    return "<r1fleet>/%s.py" % fullname.replace(".", "/")
