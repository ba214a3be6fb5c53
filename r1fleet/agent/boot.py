"""The first code of the bundle to run: imports come from the bundle, then the agent starts."""

from __future__ import annotations

import _imp
import gc
import marshal
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:  # see agent/hints.py
    from types import ModuleType
    from typing import Any, Dict, Optional, Sequence, Tuple, Union

    Part = Union[bytes, str]


class Start:
    """How this agent was started, and what it needs to start another like itself; ``mark`` is its kind of bytecode."""

    def __init__(self, wire: Tuple[int, int], bundle: bytes, stub: str, mark: bytes) -> None:
        self.receive, self.send = wire
        self.bundle = bundle
        self.stub = stub
        self.mark = mark
        self.finder = Bundle()


class Bundle:
    """Finds and loads modules in memory; they run when something of theirs is first asked for.

    A part is a module's compiled code where the controller's Python is this one's, else its text. So
    ``from r1fleet.modules import _http`` costs nothing until ``_http.download`` runs, and a process that only passes
    frames on never runs what runs modules.

    The abstract classes of ``importlib.abc`` are not inherited: importing them doubles the agent's start.
    """

    def __init__(self) -> None:
        self._parts: Dict[str, Part] = {}
        self._packages = {"r1fleet", "r1fleet.agent", "r1fleet.modules"}
        self._builtins: Optional[Dict[str, Any]] = None

    def add(self, parts: Dict[str, Part]) -> None:
        """Have more modules to find."""
        self._parts.update(parts)

    def find_spec(
        self, fullname: str, path: Optional[Sequence[Any]], target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        """Find a module that is here, or may have come when something of it is asked for."""
        if fullname not in self._packages and fullname.rpartition(".")[0] not in self._packages:
            return None
        spec = ModuleSpec(
            fullname,
            self,  # type: ignore[arg-type]
            origin=_path(fullname),
            is_package=fullname in self._packages,
        )
        spec.has_location = True
        return spec

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        """Leave it to the import system."""
        return None

    def get_source(self, fullname: str) -> str:
        """Return a module's text, for tracebacks too."""
        part = self._parts.get(fullname)
        if not isinstance(part, str):
            raise ImportError(fullname)
        return part

    def is_package(self, fullname: str) -> bool:
        """Tell whether a module of the bundle holds others."""
        return fullname in self._packages

    def exec_module(self, module: ModuleType) -> None:
        """Have a module run as soon as it is looked into."""
        if module.__name__ in self._packages:
            return
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
        part = self._parts.get(module.__name__)
        if part is None:
            raise ImportError("%s has not been sent here" % module.__name__)
        if module.__name__ != "r1fleet.agent.hints":
            module.__dict__["__builtins__"] = self._light()
        exec(_code(module.__name__, part), module.__dict__)

    def _light(self) -> Dict[str, Any]:
        if self._builtins is None:
            from r1fleet.agent.hints import BUILTINS  # noqa: PLC0415 - it comes from this very bundle

            self._builtins = BUILTINS
        return self._builtins


def start(receive: int, send: int, bundle: bytes, stub: str, parts: Dict[str, Part], mark: bytes) -> None:
    """Import from ``parts`` from now on and serve until the controller is gone."""
    gc.set_threshold(20000)  # compiling allocates much and leaves nothing to collect: a tenth of the start
    begun = Start((receive, send), bundle, stub, mark)
    begun.finder.add(parts)
    sys.meta_path.insert(0, begun.finder)
    from r1fleet.agent import main  # noqa: PLC0415 - it comes from the bundle

    main.serve(begun)


def _code(fullname: str, part: Part) -> Any:
    if isinstance(part, bytes):
        code = marshal.loads(part)
        _imp._fix_co_filename(code, _path(fullname))  # type: ignore[attr-defined]  # tracebacks name no folder elsewhere
        return code
    return compile(part, _path(fullname), "exec", dont_inherit=True)


def _path(fullname: str) -> str:
    return "<r1fleet>/%s.py" % fullname.replace(".", "/")
