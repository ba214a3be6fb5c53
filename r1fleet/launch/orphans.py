"""End what runs on hosts by r1fleet's names though no plan there knows it: services, containers, sessions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from r1fleet.command import cmd
from r1fleet.errors import FleetError, HostUnreachable
from r1fleet.events import Note, Observer
from r1fleet.inventory import Host
from r1fleet.launch.stop import StopReport
from r1fleet.status.contact import Access, Contact
from r1fleet.status.survey import survey

_SECONDS: Final = 20
# A name without a plan does not tell its runtime, so each is asked. What carries the name and outlives this is killed.
_END: Final = """\
if [ -d /run/systemd/system ]; then
    systemctl stop "$1.service" 2>/dev/null
    systemctl reset-failed "$1.service" 2>/dev/null
fi
if command -v docker >/dev/null; then
    box=$(docker ps --all --quiet --filter "name=^/$1\\$") || exit
    [ -z "$box" ] || { docker stop -t "$2" "$box" && docker rm --force "$box"; } >/dev/null || exit
fi
for file in $(grep -lsz "^R1FLEET_UNIT=$1\\$" /proc/[0-9]*/environ); do
    pid=${file#/proc/}
    kill -TERM "${pid%/environ}" 2>/dev/null
    waited=$2
done
while [ "${waited:-0}" -gt 0 ] && grep -qsz "^R1FLEET_UNIT=$1\\$" /proc/[0-9]*/environ; do
    sleep 1
    waited=$((waited - 1))
done"""


def stop_orphans(hosts: Iterable[Host], access: Access, observer: Observer) -> StopReport:
    """End every orphan of the hosts, and verify it; none is no error."""
    with Contact(access, hosts) as contact:
        seen = survey(contact, glance=True)
        found = {host: view.orphans for host, view in seen.hosts.items() if view.orphans}
        for host, names in found.items():
            observer(Note(f"stopping {', '.join(names)}", host=host))
        asked = {host: {"units": [_unit(name) for name in names]} for host, names in found.items()}
        left: dict[str, FleetError | str] = dict(seen.lost)
        for host, answer in contact.ask_all("fleet_stop", asked).items():
            if isinstance(answer, FleetError):
                left[host] = answer
            elif answer["left"] or answer["problems"]:
                left[host] = "; ".join([*answer["left"], *answer["problems"]])
    return StopReport(
        "what no plan names",
        tuple(host for host in found if host not in left),
        {host: why.what if isinstance(why, FleetError) else why for host, why in left.items()},
        any(isinstance(why, HostUnreachable) for why in left.values()),
        "" if found or left else "nothing runs there that no plan names",
    )


def _unit(name: str) -> dict[str, Any]:
    return {"name": name, "stop": list(cmd("sh", "-c", _END, "sh", name, _SECONDS).argv), "stop_seconds": 2 * _SECONDS}
