"""Run apt-get: its options, the wait for other users of apt, and its messages."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import struct
import time
from typing import Any, Iterator

from r1fleet.agent.context import Context
from r1fleet.agent.process import Done

LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock")
LOCK_SECONDS = 60
POLICY = "/usr/sbin/policy-rc.d"
_NOTHING = "0 upgraded, 0 newly installed, 0 to remove"
_FLOCK = struct.Struct("hhqqi4x")
_POLL_SECONDS = 1.0


def apt_get(ctx: Context, *words: str) -> dict[str, Any]:
    """Run ``apt-get -y OPTIONS words`` (with ``-s`` in check mode), or fail with what it said.

    Options come from those of apt's arguments that the calling module has.
    """
    argv = [ctx.need("apt-get"), "-y", *_options(ctx), *(["--simulate"] if ctx.check else []), *words]
    done = _when_free(ctx, argv)
    reply = dict(_lines("stdout", done.stdout), **_lines("stderr", done.stderr))
    if done.rc:
        command = " ".join(shlex.quote(word) for word in argv)
        text = reply["stderr"].strip() or reply["stdout"].strip()
        ctx.fail("'{}' failed: {}".format(command, text), rc=done.rc, **reply)
    if ctx.diff:
        reply["diff"] = {"prepared": summary(reply["stdout"])}
    return reply


def summary(output: str) -> str:
    """Return the part of apt-get's output that tells what will change."""
    lines = output.splitlines()
    start = next((at + 1 for at, line in enumerate(lines) if line.startswith("Reading state information")), 0)
    end = next((at + 1 for at, line in enumerate(lines) if line[:1].isdigit() and " upgraded, " in line), len(lines))
    return "\n".join(lines[start:end])


def did_something(output: str) -> bool:
    """Tell whether apt-get's closing line counts anything (120 upgraded ends like 0 upgraded, so whole lines only)."""
    return not any(line.startswith(_NOTHING) for line in output.splitlines())


def environment() -> dict[str, str]:
    """Return what keeps apt, dpkg and the packages' scripts from asking questions."""
    return {"DEBIAN_FRONTEND": "noninteractive", "DEBIAN_PRIORITY": "critical", "APT_LISTCHANGES_FRONTEND": "none"}


def _options(ctx: Context) -> list[str]:
    args = ctx.args
    options = []
    for single in (args.get("dpkg_options") or "").split(","):
        if single.strip():
            options += ["-o", "Dpkg::Options::=--" + single.strip()]
    flags = (
        ("force", "--allow-downgrades --allow-remove-essential --allow-change-held-packages --allow-unauthenticated"),
        ("allow_unauthenticated", "--allow-unauthenticated"),
        ("allow_downgrade", "--allow-downgrades"),
        ("allow_change_held_packages", "--allow-change-held-packages"),
        ("fail_on_autoremove", "--no-remove"),
    )
    for argument, text in flags:
        options += text.split() if args.get(argument) else []
    if args.get("default_release"):
        options += ["-t", args["default_release"]]
    if args.get("install_recommends") is not None:
        options += ["-o", "APT::Install-Recommends={}".format("yes" if args["install_recommends"] else "no")]
    return options


def _when_free(ctx: Context, argv: list[str]) -> Done:
    deadline = time.monotonic() + ctx.args.get("lock_timeout", LOCK_SECONDS)
    while True:
        if not ctx.check:
            _wait(ctx, deadline)
        with _policy(ctx):
            done = ctx.run(argv, env=environment(), locale="C")
        # Between our look and apt-get's own, another may have taken the lock.
        if done.rc == 0 or b"Could not get lock" not in done.stderr or time.monotonic() >= deadline:
            return done


def _wait(ctx: Context, deadline: float) -> None:
    told = ""
    while True:
        holder = lock_holder()
        if holder is None:
            return
        if time.monotonic() >= deadline:
            ctx.fail("Failed to lock apt for exclusive operation: {}".format(holder), holder=holder)
        if holder != told:
            ctx.progress("waiting for apt: {}".format(holder))
            told = holder
        time.sleep(_POLL_SECONDS)


def lock_holder(paths: tuple[str, ...] = LOCKS) -> str | None:
    """Tell who holds one of apt's and dpkg's locks: file, pid and command; None where all are free."""
    for path in paths:
        pid = _holder_pid(path)
        if pid is not None:
            return "{} is held by {}".format(path, _command_of(pid))
    return None


def _holder_pid(path: str) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOLCK):
            return None
        raise
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else pid


def _command_of(pid: int) -> str:
    try:
        with open("/proc/{}/cmdline".format(pid), "rb") as stream:
            words = stream.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        words = ""
    return "process {} ({})".format(pid, words or "command unknown")


@contextlib.contextmanager
def _policy(ctx: Context) -> Iterator[None]:
    """Let packages' scripts see the wanted exit status of policy-rc.d, and put back what was there."""
    status = ctx.args.get("policy_rc_d")
    if status is None or ctx.check:
        yield
        return
    aside = POLICY + ".r1fleet"
    if os.path.exists(POLICY):
        os.rename(POLICY, aside)
    try:
        with open(POLICY, "w") as stream:
            stream.write("#!/bin/sh\nexit {}\n".format(status))
        os.chmod(POLICY, 0o755)
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(POLICY)
        if os.path.exists(aside):
            os.rename(aside, POLICY)


def _lines(name: str, raw: bytes) -> dict[str, Any]:
    text = raw.decode("utf-8", "replace")
    return {name: text, name + "_lines": text.splitlines()}
