"""Plan a deployment from what its hosts tell now, once they have its download."""

from __future__ import annotations

from r1fleet.inventory import Inventory
from r1fleet.launch.build import Variables, build
from r1fleet.launch.gather import gather_on, read_shape_on
from r1fleet.launch.plan import Plan
from r1fleet.status.contact import Contact
from r1fleet.weights.prepare import PlanOf


def planner(inventory: Inventory, variables_of: Variables) -> PlanOf:
    """Return what plans the deployments of an inventory."""

    def plan_of(name: str, contact: Contact) -> Plan:
        draft = build(inventory, name, variables_of=variables_of)
        told = gather_on(contact, draft, inventory.groups[draft.deployment.hosts].hosts)
        facts = {host: report.for_plan for host, report in told.items()}
        shape = read_shape_on(contact, draft)
        return build(inventory, name, variables_of=variables_of, facts=facts, shape=shape)

    return plan_of
