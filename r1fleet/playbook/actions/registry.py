"""Which action does what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from r1fleet.playbook.actions import content, control, hosts, reboot, remote, rsync, variables
from r1fleet.playbook.actions.background import in_background, limit_of
from r1fleet.playbook.digests import with_digests
from r1fleet.playbook.work import Work
from r1fleet.transport import Call, Reply

PLANS: Mapping[str, Callable[[Work], Call]] = {
    "assemble": content.plan_assemble,
    "copy": content.plan_copy,
    "template": content.plan_template,
    "uri": content.plan_uri,
}
"""Actions that become one call of a module, made without waiting for anything."""

ACTIONS: Mapping[str, Callable[[Work], Awaitable[Reply]]] = {
    "add_host": hosts.add_host,
    "assert": control.check_assertions,
    "debug": control.debug,
    "fail": control.fail,
    "fetch": remote.fetch,
    "group_by": hosts.group_by,
    "include_vars": variables.include_vars,
    "pause": control.pause,
    "raw": remote.raw,
    "reboot": reboot.reboot,
    "script": remote.script,
    "set_fact": variables.set_fact,
    "set_stats": variables.set_stats,
    "synchronize": rsync.synchronize,
    "unarchive": remote.unarchive,
    "validate_argument_spec": control.validate_argument_spec,
    "wait_for_connection": hosts.wait_for_connection,
}


def plan(work: Work) -> Call:
    """Return the call that a module's task becomes."""
    make = PLANS.get(work.task.action)
    return make(work) if make is not None else work.call(work.task.action, work.args)


async def act(work: Work) -> Reply:
    """Do what the task says and return its result."""
    action = ACTIONS.get(work.task.action)
    if action is not None:
        return await action(work)
    limit = limit_of(work)
    if limit:
        return await in_background(work, plan(work), limit)
    return await work.submit(await with_digests(lambda: plan(work)))
