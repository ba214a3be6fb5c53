"""Tell how a job in the background gets on, or forget it."""

from __future__ import annotations

import os
import re
from typing import Any, Dict

from r1fleet.agent import job
from r1fleet.agent.context import Context

ARGUMENTS = {
    "jid": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "status", "choices": ["cleanup", "status"]},
}
_SHAPE = re.compile(r"j\d+\.\d+")


def run(ctx: Context) -> Dict[str, Any]:
    """Return the job's result, or that it still runs."""
    jid = ctx.args["jid"]
    path = os.path.join(job.directory(), jid)
    about = {"ansible_job_id": jid, "started": True, "finished": True, "results_file": path}
    if not _SHAPE.fullmatch(jid) or not os.path.exists(path):
        ctx.fail("could not find job", **about)
    if ctx.args["mode"] == "cleanup":
        os.unlink(path)
        return {"changed": False, "ansible_job_id": jid, "erased": path, "started": False, "finished": False}
    return job.read(path)
