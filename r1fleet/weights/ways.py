"""How a sealed folder gets from one host to others: by the controller, or by the swarm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from r1fleet.errors import FleetError, HostFailed, HostUnreachable, Interrupted, Where
from r1fleet.events import Observer
from r1fleet.status.contact import Access, Contact
from r1fleet.transport import Become, Call, Session
from r1fleet.weights.cargo import Cargo, publication
from r1fleet.weights.manifest import Manifest
from r1fleet.weights.members import members_of
from r1fleet.weights.options import SyncOptions
from r1fleet.weights.swarm import Swarm
from r1fleet.weights.sync import HostOutcome, Reach, stream


class Ways:
    """The hosts of one sync, and how things are sent between them."""

    def __init__(self, contact: Contact, access: Access, observer: Observer, options: SyncOptions) -> None:
        self.contact = contact
        self.access = access
        self.observer = observer
        self.options = options

    def become(self, host: str) -> Become | None:
        """Tell as whom things are done on a host."""
        return self.access.become_of(self.contact.hosts[host])

    def reach(self, host: str) -> Reach:
        """Return an open host's session, and as whom to work there."""
        return self.contact.sessions[host], self.become(host)

    def open(self, host: str) -> Session:
        """Open one more session to a host, for what takes long; the caller closes it."""
        return self.access.transport.open(self.contact.hosts[host], self.become(host))

    def within_reach(self, hosts: Sequence[str]) -> list[str]:
        """Keep the hosts that answer."""
        return [host for host in hosts if host in self.contact.sessions]

    def distribute(self, path: str, manifest: Manifest, source: str, targets: Sequence[str]) -> dict[str, HostOutcome]:
        """Bring a folder from one host to others; each verifies and publishes by itself."""
        reached = self.within_reach(targets)
        if not reached:
            return {}
        cargo = Cargo(manifest, path, path)
        if self.options.is_small(manifest.size):
            outcomes = self.stream(cargo, self.reach(source), reached)
            return {one.host: one for one in outcomes}
        swarm = self.swarm(cargo, source, reached)
        with left_on_trouble(lambda: swarm):
            swarm.start()
            swarm.add(file.path for file in manifest.files)
            return {one.host: one for one in swarm.finish()}

    def stream(self, cargo: Cargo, source: Reach, targets: Sequence[str]) -> tuple[HostOutcome, ...]:
        """Copy a set by way of the controller, at the rate that is set."""
        reaches = [self.reach(host) for host in targets]
        return stream(cargo, source, reaches, self.observer, rate=self.options.swarm.rate)

    def swarm(self, cargo: Cargo, source: str, targets: Sequence[str]) -> Swarm:
        """Make a swarm of hosts that answer."""
        found = members_of(self.contact, self.access, [source, *targets])
        others = [found[host] for host in targets]
        return Swarm(cargo, found[source], others, self.options.swarm, self.observer)

    def publish(self, host: str, manifest: Manifest, staged: str, path: str) -> None:
        """Give what a fetch has verified its name."""
        session, become = self.reach(host)
        given = {**publication(manifest, staged, path), "verified": True}
        call = Call("fleet_publish", given, become=become)
        try:
            reply = session.run(call)
        except HostUnreachable:  # it may have rebooted while others still received
            reply = self.contact.renew(host).run(call)
        if reply.get("failed"):
            raise HostFailed(str(reply.get("msg") or "it failed without a word"), where=Where(host=host))


@contextmanager
def left_on_trouble(swarm: Callable[[], Swarm | None]) -> Iterator[None]:
    """Stop following a swarm where something ends the sync; the hosts go on without it."""
    try:
        yield
    except KeyboardInterrupt:
        running = swarm()
        if running is None:
            raise
        running.leave()
        raise Interrupted(
            "no longer followed; what the hosts send each other goes on by itself",
            hint="r1fleet sync takes it up again and publishes; r1fleet sync --stop ends it",
        ) from None
    except FleetError:
        running = swarm()
        if running is not None:
            running.leave()
        raise
