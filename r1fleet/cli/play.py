"""``r1fleet play``: any playbook, with ansible-playbook's flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from r1fleet.cli import options, vault
from r1fleet.cli.connect import connector
from r1fleet.cli.extra_vars import parse_extra_vars
from r1fleet.console import renderer
from r1fleet.errors import UsageError
from r1fleet.inventory import Inventory, load
from r1fleet.playbook import Options, Playbook, exit_code, list_hosts, list_tags, list_tasks, load_playbook, run

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def play(
    playbook: Annotated[Path, typer.Argument(metavar="PLAYBOOK", help="The playbook's file.", show_default=False)],
    inventory: Annotated[
        list[Path] | None,
        typer.Option(
            "-i",
            "--inventory",
            envvar="R1FLEET_INVENTORY",
            metavar="FILE",
            help="Inventory file; default: only localhost.",
            show_default=False,
        ),
    ] = None,
    limit: options.Limit = None,
    tags: options.Tags = None,
    skip_tags: options.SkipTags = None,
    extra_vars: options.ExtraVars = None,
    check: options.Check = False,
    diff: options.Diff = False,
    forks: options.Forks = 64,
    become: Annotated[bool, typer.Option("-b", "--become", help="Become root on the hosts.")] = False,
    become_user: Annotated[
        str | None, typer.Option("--become-user", metavar="NAME", help="Become this user instead.", show_default=False)
    ] = None,
    ask_become: options.AskBecome = False,
    ask_password: options.AskPassword = False,
    vault_files: vault.Files = None,
    vault_identities: vault.Identities = None,
    ask_vault: vault.Ask = False,
    user: options.User = None,
    accept_new: options.AcceptNew = False,
    start_at_task: Annotated[
        str | None,
        typer.Option("--start-at-task", metavar="NAME", help="Begin at the task of this name.", show_default=False),
    ] = None,
    step: Annotated[bool, typer.Option("--step", help="Ask before each task whether it is to be done.")] = False,
    task_timeout: Annotated[
        float | None,
        typer.Option("--task-timeout", metavar="SECONDS", help="Seconds that any task may take.", show_default=False),
    ] = None,
    force_handlers: Annotated[
        bool, typer.Option("--force-handlers", help="Run notified handlers even when a task failed.")
    ] = False,
    only_tasks: Annotated[bool, typer.Option("--list-tasks", help="List the tasks and exit.")] = False,
    only_tags: Annotated[bool, typer.Option("--list-tags", help="List the tags and exit.")] = False,
    only_hosts: Annotated[bool, typer.Option("--list-hosts", help="List the hosts and exit.")] = False,
    syntax_check: Annotated[bool, typer.Option("--syntax-check", help="Check the playbook and exit.")] = False,
    output: options.Output = "auto",
    as_json: options.Json = False,
    verbose: options.Verbose = 0,
) -> int:
    """Run a playbook: checked as a whole before any host is touched."""
    vault.unlock(vault_files, vault_identities, ask=ask_vault)
    cluster = _cluster(inventory or [])
    extra = parse_extra_vars(extra_vars)
    read = load_playbook(playbook, inventory=cluster, extra_vars=extra)
    chosen = Options(
        limit=limit,
        tags=options.listed(tags),
        skip_tags=options.listed(skip_tags),
        check=check,
        diff=diff,
        forks=forks,
        extra_vars=extra,
        start_at_task=start_at_task,
        step=options.question("--step") if step else None,
        become=become or become_user is not None,
        become_user=become_user,
        become_password=options.secret("sudo password") if ask_become else None,
        remote_user=user,
        task_timeout=task_timeout,
        force_handlers=force_handlers,
        verbosity=verbose,
    )
    if syntax_check or only_tasks or only_tags or only_hosts:
        return _show(read, cluster, chosen, tasks=only_tasks, tags=only_tags, hosts=only_hosts)
    password = options.secret("SSH password") if ask_password else None
    way = connector(accept_new=accept_new, password=password, modules=read.library.sources)
    try:
        with renderer("json" if as_json else output, verbosity=verbose, diff=diff) as console:
            return int(exit_code(run(read, cluster, way, console, chosen)))
    finally:
        way.close()


def _cluster(inventories: list[Path]) -> Inventory:
    if len(inventories) > 1:
        raise UsageError(
            f"a playbook runs on one inventory, not on {len(inventories)}",
            hint="one file is one cluster: run the playbook once for each -i",
        )
    return load(inventories[0]) if inventories else Inventory("localhost", None, {}, {})


def _show(read: Playbook, cluster: Inventory, chosen: Options, *, tasks: bool, tags: bool, hosts: bool) -> int:
    typer.echo(f"playbook: {read.path}")
    for name, members in list_hosts(read, cluster, chosen) if hosts else ():
        typer.echo(f"  play {name}: {len(members)} hosts")
        for host in members:
            typer.echo(f"    {host}")
    for name, listed in list_tasks(read, cluster, chosen) if tasks else ():
        typer.echo(f"  play {name}:")
        for task in listed:
            typer.echo(f"    {task.name}  tags: {', '.join(task.tags) or 'none'}")
    for name, found in list_tags(read, cluster, chosen) if tags else ():
        typer.echo(f"  play {name}: {', '.join(found) or 'no tags'}")
    return 0
