"""The restart use case: see that the plan could start, stop what runs, then launch it."""

from __future__ import annotations

from collections.abc import Mapping

from r1fleet.errors import HostFailed
from r1fleet.events import Observer
from r1fleet.facts.report import Report
from r1fleet.launch.check import refuse
from r1fleet.launch.gather import connected
from r1fleet.launch.options import LaunchOptions, LaunchResult
from r1fleet.launch.plan import Plan
from r1fleet.launch.preflight import judged
from r1fleet.launch.run import launch_on
from r1fleet.launch.stop import stop_on
from r1fleet.status.contact import Access, Contact


def restart(plan: Plan, access: Access, observer: Observer, options: LaunchOptions) -> LaunchResult:
    """Stop the deployment on every host that has it, and launch ``plan`` once that is confirmed.

    What would keep the plan from starting is refused before anything is stopped.
    """
    mine = dict.fromkeys(rank.node.host for rank in plan.ranks)
    with Contact(access, [options.hosts[host] for host in mine]) as contact:
        connected(contact, observer)
        return restart_on(contact, plan, observer, options)


def restart_on(
    contact: Contact,
    plan: Plan,
    observer: Observer,
    options: LaunchOptions,
    *,
    reports: Mapping[str, Report] | None = None,
) -> LaunchResult:
    """Restart over the sessions that are open to the plan's hosts; the other hosts are met only to stop it there."""
    mine = tuple(contact.hosts)
    refuse(plan, judged(contact, plan, with_room=False, known=reports).findings, options.force)
    contact.hosts.update(options.hosts)
    contact.open()
    report = stop_on(contact, observer, plan.name, by=options.by)
    left = {host: why for host, why in report.left.items() if host in mine or host in report.stopped}
    if left:
        rows = "\n".join(f"  {host}: {why}" for host, why in left.items())
        raise HostFailed(f"{plan.name} is not confirmed stopped:\n{rows}", hint=f"r1fleet stop {plan.name}")
    contact.keep(*mine)
    return launch_on(contact, plan, observer, options)
