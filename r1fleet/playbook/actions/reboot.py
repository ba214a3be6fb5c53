"""reboot: ask a host to go down, and wait until another boot of it answers."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from r1fleet.errors import FleetError, HostUnreachable
from r1fleet.playbook.work import Work
from r1fleet.transport import Reply

_BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
_FOLDERS = ("/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin")
_LIMIT = 600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
# A host that is asked while it goes down may accept a connection and say nothing more.
_ANSWER_SECONDS = 30.0


async def reboot(work: Work) -> Reply:
    """Reboot, unless that would end this controller itself."""
    if work.sessions.is_local(work.target, work.manner.way):
        msg = "Running reboot with local connection would reboot the control node."
        return {"changed": False, "elapsed": 0, "rebooted": False, "failed": True, "msg": msg}
    if work.manner.check:
        return {"changed": True, "elapsed": 0, "rebooted": True}
    return await _Reboot(work, time.monotonic()).perform()


@dataclass(frozen=True, slots=True)
class _Reboot:
    """One reboot on its way."""

    work: Work
    begin: float

    async def perform(self) -> Reply:
        """Go down and come up again."""
        before, cause = await self._boot()
        if not before:
            return self._failed(f"failed to get host boot time info, {cause}", went=False)
        command = await self._command()
        if isinstance(command, dict):
            return command
        refused = await self._go_down(command)
        if refused:
            return self._failed(f"Reboot command failed. Error was: '{refused}'", went=False)
        asked = time.strftime("%H:%M:%S")
        await asyncio.sleep(self._seconds("post_reboot_delay", 0))
        for what, reached in (
            ("last boot time check", self._is_up(before)),
            ("post-reboot test command", self._is_well),
        ):
            cause = await self._until(reached)
            if cause:
                done = f"{command!r} was run at {asked} on {self.work.target.name}"
                return self._failed(f"Timed out waiting for {what} (timeout={self._limit:g}): {done}; {cause}")
        return {"changed": True, "rebooted": True, "elapsed": self._elapsed}

    async def _command(self) -> str | Reply:
        """Return the command that reboots, its program found on the host."""
        args = self.work.args
        own = str(args.get("reboot_command") or "")
        program, _, rest = (own or "shutdown").partition(" ")
        if not own:
            minutes = int(self._seconds("pre_reboot_delay", 0)) // 60
            rest = f"-r {minutes} {shlex.quote(str(args.get('msg') or 'Reboot initiated by Ansible'))}"
        if not program.startswith("/"):
            folders = [str(folder) for folder in args.get("search_paths") or _FOLDERS]
            found = await self._found(program, folders)
            if not found:
                return self._failed(f"Unable to find command {program!r} in search paths: {folders}", went=False)
            program = found
        return f"{program} {rest}".strip()

    async def _found(self, program: str, folders: list[str]) -> str:
        for folder in folders:
            path = f"{folder.rstrip('/')}/{program}"
            seen = await self._ask("stat", {"path": path, "follow": True, "get_checksum": False, "get_mime": False})
            if seen.get("stat", {}).get("exists"):
                return path
        return ""

    async def _go_down(self, command: str) -> str:
        """Run the command; return why it failed, empty where it did not, or where the host is gone already."""
        try:
            reply = await self._ask("shell", {"cmd": command})
        except HostUnreachable:
            return ""
        return _said(reply) if reply.get("failed") else ""

    async def _boot(self) -> tuple[str, str]:
        """Return what tells this boot from any other, and why that is not known."""
        command = str(self.work.args.get("boot_time_command") or _BOOT_ID)
        reply = await self._ask("shell", {"cmd": command})
        return ("", _said(reply)) if reply.get("failed") else (str(reply["stdout"]).strip(), "it says nothing")

    def _is_up(self, before: str) -> Callable[[], Awaitable[str]]:
        async def look() -> str:
            now, cause = await self._boot()
            if not now:
                return cause
            return "it has not gone down since" if now == before else ""

        return look

    async def _is_well(self) -> str:
        command = str(self.work.args.get("test_command") or "whoami")
        reply = await self._ask("shell", {"cmd": command})
        return f"{command!r}: {_said(reply)}" if reply.get("failed") else ""

    async def _until(self, reached: Callable[[], Awaitable[str]]) -> str:
        """Connect and look again and again; return the last cause where time is over, empty where it is so."""
        end = time.monotonic() + self._limit
        pause, cause = _FIRST_PAUSE, ""
        while True:
            try:
                await self.work.sessions.forget(self.work.target)
                cause = await asyncio.wait_for(reached(), _ANSWER_SECONDS)
            except TimeoutError:
                cause = "it accepts connections and does not answer"
            except FleetError as error:
                cause = f"it does not answer: {error.what}"
            if not cause:
                return ""
            left = end - time.monotonic()
            if left <= 0:
                return cause
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _ask(self, module: str, args: dict[str, Any]) -> Reply:
        """Run a module; while the host reboots, its connections have a time limit of their own."""
        work = self.work
        limit = self._seconds("connect_timeout", 0)
        if limit:
            work = replace(work, manner=replace(work.manner, way=replace(work.manner.way, seconds=int(limit))))
        return await work.submit(replace(work.call(module, args), check=False, diff=False))

    def _seconds(self, name: str, default: float) -> float:
        return float(self.work.args.get(name) or self.work.args.get(f"{name}_sec") or default)

    @property
    def _limit(self) -> float:
        return self._seconds("reboot_timeout", _LIMIT)

    @property
    def _elapsed(self) -> int:
        return int(time.monotonic() - self.begin)

    def _failed(self, msg: str, *, went: bool = True) -> Reply:
        return {"changed": False, "failed": True, "rebooted": went, "elapsed": self._elapsed, "msg": msg}


def _said(reply: Reply) -> str:
    texts = [str(reply.get(name) or "").strip() for name in ("stdout", "stderr")]
    return ", ".join(text for text in texts if text) or f"rc: {reply.get('rc')}, {reply.get('msg')}"
