"""Every action a task may name, with its arguments: modules that run on hosts, and actions of the controller."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import r1fleet.modules
from r1fleet.agent.arguments import Spec
from r1fleet.playbook.actions.tables import CONTROLLER, OWN_OPTIONS, Row

COLLECTIONS = (
    "ansible.builtin.",
    "ansible.legacy.",
    "ansible.posix.",
    "community.general.",
    "ansible.netcommon.",
    "ansible.utils.",
    "community.crypto.",
)
_OTHER_NAMES = {"gather_facts": "setup", "systemd_service": "systemd"}


@dataclass(frozen=True, slots=True)
class Known:
    """One action: its arguments, and how it may run."""

    name: str
    spec: Spec
    free_form: str | None
    on_host: bool
    local: bool
    check_mode: bool
    any_argument: bool = False


@cache
def host_modules() -> tuple[str, ...]:
    """Return the names of the modules that playbooks may use on hosts."""
    found = (info.name for info in pkgutil.iter_modules(r1fleet.modules.__path__))
    return tuple(sorted(name for name in found if not name.startswith(("_", "fleet_"))))


def names() -> tuple[str, ...]:
    """Return every name a task may use, in short form."""
    return tuple(sorted({*host_modules(), *CONTROLLER}))


@cache
def find(name: str) -> Known | None:
    """Return what is known of an action by its short or full name."""
    stem = short_name(name)
    row = CONTROLLER.get(stem)
    if row is not None:
        return _of_controller(stem, row) if row.module is None or row.module in host_modules() else None
    if stem not in host_modules():
        return None
    module = _module(stem)
    return Known(
        stem,
        Spec.of(module),
        getattr(module, "FREE_FORM", None),
        on_host=True,
        local=bool(getattr(module, "LOCAL", False)),
        check_mode=bool(getattr(module, "CHECK_MODE", True)),
    )


def _of_controller(stem: str, row: Row) -> Known:
    spec = Spec.of(_module(row.module)) if row.module else Spec({})
    if row.arguments:
        spec = Spec(row.arguments)
    return Known(
        stem, spec, row.free_form, on_host=False, local=row.local, check_mode=True, any_argument=row.any_argument
    )


def short_name(name: str) -> str:
    """Return the file stem that an action's name stands for."""
    stem = next((name.removeprefix(prefix) for prefix in COLLECTIONS if name.startswith(prefix)), name)
    return _OTHER_NAMES.get(stem, stem)


def free_options(known: Known) -> frozenset[str] | None:
    """Return which ``name=value`` words a free-form line may hold; None where every word is a pair."""
    return OWN_OPTIONS.get(known.name)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"r1fleet.modules.{name}")
