"""``async``: modules that run on while the play does something else, or is not connected."""

from __future__ import annotations

import asyncio
import time

from r1fleet.playbook.secrecy import secrets_of, without
from r1fleet.playbook.templating import TemplateFailed, render_number
from r1fleet.playbook.work import Work
from r1fleet.transport import Call, Reply


def limit_of(work: Work) -> int:
    """Return how many seconds the task gives its job; 0 where it has none."""
    return int(render_number(work.task.limit, work.scope, "async"))


async def in_background(work: Work, call: Call, limit: int) -> Reply:
    """Start a module as a job; with ``poll`` wait for its end."""
    if work.manner.check:
        msg = "check mode and async cannot be used on the same task"
        raise TemplateFailed(msg, where=work.task.where, hint="say `check_mode: false`, or leave the task out")
    every = render_number(work.task.poll, work.scope, "poll")
    reply = await work.submit(work.call("agent.job", {"module": call.module, "args": dict(call.args), "limit": limit}))
    if every <= 0 or reply.get("failed"):
        return reply
    done = await _awaited(work, str(reply["ansible_job_id"]), every, limit)
    return without(secrets_of(call, work.task.own), done)


async def _awaited(work: Work, job: str, every: float, limit: int) -> Reply:
    """Ask again and again until the job has ended; it ends itself when its time is over."""
    begin = time.monotonic()
    while True:
        await asyncio.sleep(min(every, max(0.1, limit + 0.5 - (time.monotonic() - begin))))
        reply = await work.submit(work.call("async_status", {"jid": job}))
        if reply.get("finished"):
            await work.submit(work.call("async_status", {"jid": job, "mode": "cleanup"}))
            return reply
        if time.monotonic() - begin > limit + every + 1:
            msg = f"async task did not complete within the requested time - {limit}s"
            return {"changed": False, "failed": True, "msg": msg, "async_result": reply}
