"""Which of ansible-core's integration targets are graded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One target, run as a role or by its own ``playbooks``; ``needs`` are other targets that it includes."""

    name: str
    kind: str  # language, plays or modules
    needs: tuple[str, ...] = ()
    network: bool = False  # packages come through the lab's proxy
    playbooks: tuple[str, ...] = ()


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
_FROM_PACKAGES = "apt_repository cron deb822_repository git package service service_facts systemd unarchive user"
_PLAYBOOKS = {
    "any_errors_fatal": "31543 36308 80981 always_block on_includes play_level",
    "blocks": "43191 69848 72725 72781 78612 79711 always_failure_with_rescue_rc block_in_rescue block_rescue_vars"
    " issue29047 issue71306 main unsafe_failed_task",
    "conditionals": "play",
    "debug": "main nosetfacts",
    "group_by": "test_group_by test_group_by_skipped",
    "handlers": "52561 54991 58841 79776 80880 82241 force_handlers_blocks_81533-1 force_handlers_blocks_81533-2"
    " from_handlers handler_notify_earlier_handler handlers_lockstep_82307 handlers_lockstep_83019 order"
    " rescue_flush_handlers test_flush_handlers_as_handler",
    "ignore_errors": "test_ignore_errors test_ignore_errors_false",
    "lookup_ini": "test_allow_no_value test_case_sensitive test_errors test_ini test_interpolation"
    " test_lookup_properties",
    "lookup_inventory_hostnames": "main",
    "loop_control": "break_when extended label",
    "meta_tasks": "test_end_batch test_end_host test_end_host_all test_end_play test_end_play_multiple_plays"
    " test_end_play_serial_one",
    "omit": "48673",
    "order": "order",
    "register": "can_register",
    "roles": "47023 allowed_dupes data_integrity dupe_inheritance end_role end_role_nested no_dupes privacy"
    " role_complete role_dep_chain vars_scope",
    "roles_arg_spec": "test",
    "set_fact": "incremental set_fact set_fact_empty_str_key",
    "set_stats": "test_aggregate test_simple",
    "strategy_linear": "task_action_templating task_templated_run_once test_include_file_noop",
    "tags": "ansible_run_tags test_tags",
    "tasks": "playbook",
    "var_blending": "test_var_blending",
    "vars_files": "runme",
}

TARGETS: tuple[Target, ...] = (
    *(Target(name, "language") for name in _LANGUAGE.split()),
    Target("special_vars", "language", needs=("include_parent_role_vars",)),
    *(
        Target(name, "plays", playbooks=tuple(f"{stem}.yml" for stem in stems.split()))
        for name, stems in _PLAYBOOKS.items()
    ),
    *(Target(name, "modules") for name in _MODULES.split()),
    *(Target(name, "modules", network=True) for name in _FROM_PACKAGES.split()),
)


def chosen(names: list[str]) -> list[Target]:
    """Return the targets of these names, or all."""
    return [target for target in TARGETS if not names or target.name in names]
