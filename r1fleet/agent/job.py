"""Run one module apart from the agent, which may end meanwhile (the agent's own; ``async_status`` asks for it)."""

from __future__ import annotations

import json
import os
import signal
from typing import Any, Dict, NoReturn

from r1fleet.agent import calls, frames, places
from r1fleet.agent.context import Context
from r1fleet.agent.outcome import Interrupted

ARGUMENTS = {
    "module": {"type": "str", "required": True},
    "args": {"type": "dict", "required": True},
    "limit": {"type": "int", "required": True},
}


def run(ctx: Context) -> Dict[str, Any]:
    """Start the job and return its id at once."""
    folder = directory()
    os.makedirs(folder, 0o700, exist_ok=True)
    ident = "j%d.%d" % (int.from_bytes(os.urandom(5), "big"), os.getpid())
    path = os.path.join(folder, ident)
    about = {"ansible_job_id": ident, "started": True, "finished": False, "results_file": path}
    write(path, about)
    first = os.fork()
    if not first:
        _detach(ctx, about)
    os.waitpid(first, 0)
    return dict(about, changed=True)


def directory() -> str:
    """Return the folder of this user's jobs, where ansible has it, too."""
    return os.path.expanduser(os.environ.get("ANSIBLE_ASYNC_DIR") or "~/.ansible_async")


def write(path: str, value: Dict[str, Any]) -> None:
    """Write a job's state, at once or not at all."""
    neighbour = places.fresh_name(os.path.dirname(path), ".")
    with open(os.open(neighbour, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(frames.dump(value))
    os.rename(neighbour, path)


def read(path: str) -> Dict[str, Any]:
    """Read a job's state."""
    with open(path, encoding="ascii") as stream:
        found: Dict[str, Any] = json.load(stream)
    return found


def _detach(ctx: Context, about: Dict[str, Any]) -> NoReturn:
    """Leave the agent's process behind, do the work, end; nothing of this process may return to the agent's loop."""
    places.forget()
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        _let_go()
        write(about["results_file"], dict(_work(ctx, about), finished=True))
    finally:
        places.clear()
        os._exit(0)


def _let_go() -> None:
    """Close what belongs to the agent: its wire must end with it; its temporary folder goes with it."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.closerange(3, 1024)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def _work(ctx: Context, about: Dict[str, Any]) -> Dict[str, Any]:
    def expire(*_: Any) -> NoReturn:
        raise Interrupted

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(max(1, ctx.args["limit"]))
    try:
        reply = calls.invoke(ctx.args["module"], ctx.args["args"], environment=ctx.environment)
    except Interrupted:
        reply = {"changed": False, "failed": True, "msg": "Timeout exceeded"}
    signal.alarm(0)
    return {**reply, **about}
