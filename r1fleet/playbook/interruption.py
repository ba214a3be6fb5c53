"""What there is to say when the user ends a run in the middle."""

from __future__ import annotations

import shlex

from r1fleet.errors import Interrupted
from r1fleet.playbook.state import RunState

_AGAIN = "run it again: what is done stays done"


def interruption(run: RunState) -> Interrupted:
    """Say where the run was, on which hosts, and how to go on."""
    if run.at is None or run.play is None or run.play.free:
        return Interrupted("interrupted; what ran on hosts has been stopped", hint=_AGAIN)
    title, task = run.at
    still = [host.name for host in run.play.batch if host.running and host.name not in run.through]
    stopped = f"; stopped on {' '.join(still)}" if still else ""
    hint = f"{_AGAIN} (from there on: --start-at-task {shlex.quote(title)})"
    return Interrupted(f'interrupted in task "{title}"{stopped}', where=task.where, hint=hint)
