"""The restart use case: stop what runs, then launch the plan."""

from __future__ import annotations

from r1fleet.errors import HostFailed
from r1fleet.events import Observer
from r1fleet.launch.options import LaunchOptions, LaunchResult
from r1fleet.launch.plan import Plan
from r1fleet.launch.run import launch
from r1fleet.launch.stop import stop
from r1fleet.status.contact import Access


def restart(plan: Plan, access: Access, observer: Observer, options: LaunchOptions) -> LaunchResult:
    """Stop the deployment on every host that has it, and launch ``plan`` once that is confirmed."""
    report = stop(options.hosts.values(), access, observer, plan.name, by=options.by)
    mine = {rank.node.host for rank in plan.ranks}
    left = {host: why for host, why in report.left.items() if host in mine or host in report.stopped}
    if left:
        rows = "\n".join(f"  {host}: {why}" for host, why in left.items())
        raise HostFailed(f"{plan.name} is not confirmed stopped:\n{rows}", hint=f"r1fleet stop {plan.name}")
    return launch(plan, access, observer, options)
