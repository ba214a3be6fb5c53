"""What can be wrong with an agent, in sentences: what, where, what to do next."""

from __future__ import annotations

from typing import Any

from r1fleet.errors import FleetError, HostFailed, HostUnreachable, UsageError, Where

_INSTALL = "apt-get install -y python3"

_IDENTITY = {
    "no-sudo": ("sudo is not installed on {host}", "log in as {user}, or install sudo"),
    "no-user": ("there is no user {user} on {host}", "correct become_user, or make the user first"),
    "password-needed": (
        "sudo on {host} asks for a password to become {user}",
        "give it with -K, or set ansible_become_password",
    ),
    "password-wrong": ("sudo on {host} refused the password for {user}", "give the right one with -K"),
    "silent": ("sudo on {host} did not answer: {detail}", "try it by hand: ssh {host} sudo -u {user} true"),
    "refused": ("sudo on {host} did not let us become {user}: {detail}", "see sudoers on {host}"),
}


class NoPython(HostUnreachable):
    """The host has no Python that the agent could run on; plain commands still work."""


class NotStarted(HostUnreachable):
    """Something else than the agent answered, or nothing."""


def lost(host: str, cause: str) -> HostUnreachable:
    """Say that the connection broke."""
    return HostUnreachable(
        f"lost {host}: {cause or 'the connection broke'}",
        where=Where(host=host),
        hint="what ran there has been stopped; see whether the host is up, then run again",
    )


def closed(host: str) -> HostUnreachable:
    """Say that this side has ended the session."""
    return HostUnreachable(f"the session with {host} was closed", where=Where(host=host), hint="open it again")


def slept(host: str, seconds: float) -> HostUnreachable:
    """Say that it was this side that fell silent."""
    return HostUnreachable(
        f"lost {host}: this controller stood still for {seconds:.0f} seconds (Ctrl-Z, or a sleeping machine)",
        where=Where(host=host),
        hint="hosts end what nobody has watched for 30 seconds; run again, in tmux or with nohup if it is long",
    )


def silent(host: str, seconds: float) -> HostUnreachable:
    """Say that the host has said nothing for too long."""
    return HostUnreachable(
        f"lost {host}: it has been silent for {seconds:.0f} seconds",
        where=Where(host=host),
        hint="see whether the host and the network between are up; what ran there stops by itself",
    )


def too_slow(host: str, command: str, seconds: float) -> HostFailed:
    """Say that a plain command had to be stopped."""
    return HostFailed(
        f"timed out after {seconds:g} seconds: {command}", where=Where(host=host), hint="give it a longer timeout"
    )


def no_python(host: str, outcome: str, detail: str) -> NoPython:
    """Say that there is no Python, or none that is new enough, and how to mend it."""
    what = "has no Python 3" if outcome == "none" else f"has only Python {detail}, and 3.7 or newer is needed"
    return NoPython(
        f"{host} {what}",
        where=Where(host=host),
        hint=f"ssh {host} sudo {_INSTALL}   (in a play: raw: {_INSTALL}), or set ansible_python_interpreter",
    )


def not_started(host: str, noise: str, complaint: str, *, silent: bool) -> NotStarted:
    """Say that something else than the agent answered, or nothing."""
    said = " / ".join(text for text in (noise, complaint) if text)
    how = "did not start in time" if silent else "could not be started"
    return NotStarted(
        f"the agent on {host} {how}" + (f"; the host said: {said}" if said else ""),
        where=Where(host=host),
        hint=f"try: ssh {host} python3 --version   (a forced command, a login shell that ends early, or a limit?)",
    )


def identity(host: str, words: dict[str, Any]) -> FleetError:
    """Say why another identity could not be taken on."""
    if words["reason"] == "method":
        return UsageError(
            f"become_method {words['detail']} is not supported", where=Where(host=host), hint="use become_method: sudo"
        )
    what, hint = _IDENTITY[words["reason"]]
    names = {"host": host, "user": words["user"], "detail": words["detail"] or "no reason given"}
    return HostFailed(what.format(**names), where=Where(host=host), hint=hint.format(**names))
