"""The arguments of the controller's own actions, in the form that modules use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Arguments = Mapping[str, Mapping[str, Any]]

RAW: Mapping[str, Any] = {"type": "raw"}
STR: Mapping[str, Any] = {"type": "str"}
BOOL: Mapping[str, Any] = {"type": "bool"}
NAMED: Mapping[str, Any] = {"type": "str", "required": True}


@dataclass(frozen=True, slots=True)
class Row:
    """One action: its arguments, and those of a host module that it passes on."""

    arguments: Arguments = field(default_factory=dict)
    free_form: str | None = None
    module: str | None = None  # whose arguments it takes, too
    local: bool = False
    any_argument: bool = False


_ROLE: Arguments = {
    "name": {"type": "str", "required": True, "aliases": ["role"]},
    "tasks_from": STR,
    "vars_from": STR,
    "defaults_from": STR,
    "handlers_from": STR,
    "public": BOOL,
    "allow_duplicates": BOOL,
    "rolespec_validate": BOOL,
}
_APPLY: Arguments = {"apply": {"type": "dict"}}
_RSYNC = (
    "archive", "checksum", "compress", "copy_links", "delay_updates", "delete", "dirs", "existing_only", "partial",
)  # fmt: skip
CONTROLLER: Mapping[str, Row] = {
    "add_host": Row(
        {
            "name": {"type": "str", "required": True, "aliases": ["host", "hostname"]},
            "groups": {"type": "raw", "aliases": ["group", "groupname"]},
        },
        any_argument=True,
    ),
    "assert": Row(
        {
            "that": {"type": "raw", "required": True},
            "fail_msg": {"type": "raw", "aliases": ["msg"]},
            "success_msg": RAW,
            "quiet": BOOL,
        }
    ),
    "copy": Row(module="copy", local=True),
    "debug": Row({"msg": RAW, "var": RAW, "verbosity": {"type": "int"}}),
    "fail": Row({"msg": RAW}),
    "fetch": Row({"src": NAMED, "dest": NAMED, "flat": BOOL, "fail_on_missing": BOOL, "validate_checksum": BOOL}),
    "group_by": Row({"key": NAMED, "parents": {"type": "raw"}}),
    "import_role": Row(_ROLE),
    "import_tasks": Row({"file": NAMED}, "file"),
    "include_role": Row({**_ROLE, **_APPLY}),
    "include_tasks": Row({"file": NAMED, **_APPLY}, "file"),
    "include_vars": Row(
        {
            "file": STR,
            "dir": STR,
            "name": STR,
            "depth": {"type": "int"},
            "files_matching": STR,
            "ignore_files": {"type": "raw"},
            "extensions": {"type": "raw"},
            "ignore_unknown_extensions": BOOL,
            "hash_behaviour": {"type": "str", "choices": ["replace", "merge"]},
        },
        "file",
    ),
    "meta": Row(
        {
            "_action": {
                "type": "str",
                "required": True,
                "choices": [
                    "clear_facts",
                    "clear_host_errors",
                    "end_batch",
                    "end_host",
                    "end_play",
                    "end_role",
                    "flush_handlers",
                    "noop",
                    "refresh_inventory",
                    "reset_connection",
                ],
            }
        },
        "_action",
    ),
    "pause": Row({"seconds": {"type": "raw"}, "minutes": {"type": "raw"}, "prompt": STR, "echo": BOOL}),
    "raw": Row({"_command": NAMED, "executable": STR}, "_command"),
    "reboot": Row(
        {
            "pre_reboot_delay": {"type": "raw", "aliases": ["pre_reboot_delay_sec"]},
            "post_reboot_delay": {"type": "raw", "aliases": ["post_reboot_delay_sec"]},
            "reboot_timeout": {"type": "raw", "aliases": ["reboot_timeout_sec"]},
            "connect_timeout": {"type": "raw", "aliases": ["connect_timeout_sec"]},
            "test_command": STR,
            "msg": STR,
            "search_paths": {"type": "list", "elements": "str"},
            "boot_time_command": STR,
            "reboot_command": STR,
        }
    ),
    "script": Row({"cmd": NAMED, "chdir": STR, "creates": STR, "removes": STR, "executable": STR}, "cmd"),
    "set_fact": Row({"cacheable": BOOL}, any_argument=True),
    "set_stats": Row({"data": {"type": "raw", "required": True}, "per_host": BOOL, "aggregate": BOOL}),
    "synchronize": Row(
        {
            "src": NAMED,
            "dest": NAMED,
            "mode": {"type": "str", "default": "push", "choices": ["push", "pull"]},
            **{name: {"type": "bool"} for name in ("recursive", "links", "perms", "times", "owner", "group")},
            **{name: {"type": "bool", "default": name in ("archive", "compress")} for name in _RSYNC},
            "link_dest": {"type": "list", "elements": "str", "default": []},
            "rsync_opts": {"type": "list", "elements": "str", "default": []},
            "rsync_timeout": {"type": "int", "default": 0},
        }
    ),
    "template": Row(module="template", local=True),
    "unarchive": Row(module="unarchive"),
    "validate_argument_spec": Row(
        {
            "argument_spec": {"type": "dict", "required": True},
            "provided_arguments": {"type": "dict"},
            "validate_args_context": {"type": "dict"},
        }
    ),
    "wait_for_connection": Row(
        {
            "connect_timeout": {"type": "raw"},
            "delay": {"type": "raw"},
            "sleep": {"type": "raw"},
            "timeout": {"type": "raw"},
        }
    ),
}

COMMAND_OPTIONS = frozenset(
    {
        "chdir",
        "creates",
        "executable",
        "removes",
        "stdin",
        "stdin_add_newline",
        "strip_empty_ends",
        "expand_argument_vars",
        "argv",
    }
)
OWN_OPTIONS: Mapping[str, frozenset[str]] = {
    "command": COMMAND_OPTIONS,
    "shell": COMMAND_OPTIONS,
    "raw": frozenset({"executable"}),
    "script": frozenset({"chdir", "creates", "removes", "executable"}),
}
