"""Fresh hosts for cases: what earlier plays left would count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from r1fleet import lab as labs
from r1fleet.lab import Lab
from tests.differential.engines import HOSTS
from tests.standins.rpmhost import dress, publish
from tests.standins.rpmshelf import SHELF


@contextmanager
def fresh_lab(name: str, *, dressed: bool = False) -> Iterator[Lab]:
    """Bring up hosts that nothing was played on; dressed, one that has dnf and the stand-in repository in a folder."""
    labs.down(name)  # a session that was killed may have left one
    try:
        lab = labs.up(name, hosts=1 if dressed else HOSTS, extra_vars={})
        if dressed:
            dress(lab, "h1")
            publish(lab, "h1", SHELF)
        yield lab
    finally:
        labs.down(name)
