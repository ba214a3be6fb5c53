"""``r1fleet provision``: from bare hosts to hosts that can serve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from r1fleet.cli import options, vault
from r1fleet.cli.connect import connector
from r1fleet.cli.extra_vars import parse_extra_vars
from r1fleet.console import renderer
from r1fleet.errors import ExitCode
from r1fleet.inventory import Inventory, load
from r1fleet.inventory.known import remember
from r1fleet.playbook import Options
from r1fleet.provision import ProvisionOptions, Wanted, own_modules, wants
from r1fleet.provision import provision as use_case

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def provision(
    inventory: Annotated[
        Path, typer.Argument(metavar="INVENTORY", help="The inventory file of the cluster.", show_default=False)
    ],
    limit: options.Limit = None,
    skip_weights: Annotated[bool, typer.Option("--skip-weights", help="Leave the models alone.")] = False,
    playbook: Annotated[
        str, typer.Option("--playbook", metavar="PLAYBOOK", help="The playbook, by path or name.")
    ] = "provision.yaml",
    tags: options.Tags = None,
    skip_tags: options.SkipTags = None,
    extra_vars: options.ExtraVars = None,
    check: options.Check = False,
    diff: options.Diff = False,
    forks: options.Forks = 64,
    ask_become: options.AskBecome = False,
    ask_password: options.AskPassword = False,
    vault_files: vault.Files = None,
    vault_identities: vault.Identities = None,
    ask_vault: vault.Ask = False,
    user: options.User = None,
    accept_new: options.AcceptNew = False,
    output: options.Output = "auto",
    as_json: options.Json = False,
    verbose: options.Verbose = 0,
) -> int:
    """Show the plan, run playbooks/provision.yaml on every host, then bring each deployment's weights."""
    vault.unlock(vault_files, vault_identities, ask=ask_vault)
    cluster = load(inventory)
    chosen = ProvisionOptions(
        play=Options(
            limit=limit,
            tags=options.listed(tags),
            skip_tags=options.listed(skip_tags),
            check=check,
            diff=diff,
            forks=forks,
            extra_vars=parse_extra_vars(extra_vars),
            become_password=options.secret("sudo password") if ask_become else None,
            remote_user=user,
            verbosity=verbose,
        ),
        playbook=playbook,
        skip_weights=skip_weights,
    )
    asked = wants(cluster, chosen)
    password = options.secret("SSH password") if ask_password else None
    way = connector(accept_new=accept_new, password=password, modules=own_modules(cluster, chosen))
    try:
        with renderer("json" if as_json else output, verbosity=verbose, diff=diff) as console:
            if not as_json:
                console.lines(*_plan(cluster, asked, chosen), "")
            done = use_case(cluster, way, console, chosen)
    finally:
        way.close()
    if done.exit_code == ExitCode.OK and not check:
        remember(cluster, "provisioned")
    return int(done.exit_code)


def _plan(cluster: Inventory, asked: tuple[Wanted, ...], chosen: ProvisionOptions) -> Iterator[str]:
    mode = ", changing nothing (--check)" if chosen.play.check else ""
    yield f"provision cluster {cluster.name}: {len(cluster.hosts)} hosts by {chosen.playbook}{mode}"
    for one in asked:
        hosts = ", ".join(host.name for host in one.hosts)
        spec = one.deployment
        place = spec.image if spec.runtime == "docker" else spec.venv
        yield f"  {one.name} on {hosts}: {spec.engine} for {spec.accelerator} in {place}"
        skipped = " (--skip-weights)" if chosen.skip_weights else ""
        yield f"    model {spec.model} in {one.path}{skipped}"
