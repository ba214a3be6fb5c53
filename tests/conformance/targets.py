"""Which of ansible-core's integration targets are graded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One target that runs as a role; ``needs`` are other targets that it includes."""

    name: str
    kind: str  # language or modules
    needs: tuple[str, ...] = ()
    network: bool = False  # packages come through the lab's proxy
    options: tuple[str, ...] = ()


_LANGUAGE = """
    add_host assert changed_when failed_when filter_core filter_mathstuff filter_urls filter_urlsplit
    include_import_tasks_nested include_vars include_with_templating lookup_csvfile lookup_dict lookup_file
    lookup_first_found lookup_indexed_items lookup_items lookup_lines lookup_list lookup_nested lookup_password
    lookup_pipe lookup_random_choice lookup_sequence lookup_subelements lookup_template lookup_together
    lookup_varnames lookup_vars loop-until loops split task-timeout task_ordering test_core
    test_files test_mathstuff test_uri undefined until var_inheritance var_reserved yaml_parsing
"""
_MODULES = """
    assemble async blockinfile command_shell copy facts_d file find getent group hostname known_hosts lineinfile
    ping replace script slurp stat tempfile template wait_for
"""
_FROM_PACKAGES = "apt cron deb822_repository apt_repository package service systemd unarchive user git pip"

TARGETS: tuple[Target, ...] = (
    *(Target(name, "language") for name in _LANGUAGE.split()),
    Target("special_vars", "language", needs=("include_parent_role_vars",)),
    *(Target(name, "modules") for name in _MODULES.split()),
    *(Target(name, "modules", network=True) for name in _FROM_PACKAGES.split()),
)


def chosen(names: list[str]) -> list[Target]:
    """Return the targets of these names, or all."""
    return [target for target in TARGETS if not names or target.name in names]
