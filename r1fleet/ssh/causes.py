"""Why a host could not be reached, in a sentence with a way on, for everything that paramiko and sockets raise."""

from __future__ import annotations

import errno
import socket

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from r1fleet.errors import HostUnreachable, Where

FAILURES = (paramiko.SSHException, OSError, EOFError, ValueError)
"""What opening a connection may raise (ValueError: paramiko's word for a key file it cannot read)."""

_SYSTEM = {
    errno.ECONNREFUSED: ("refuses connections", "is sshd running there, on that port?"),
    errno.EHOSTUNREACH: ("cannot be reached: no route to it", "see ansible_host and your network or VPN"),
    errno.ENETUNREACH: ("cannot be reached: no route to its network", "see ansible_host and your network or VPN"),
    errno.ECONNRESET: ("broke the connection off", "see the host's sshd log (MaxStartups, fail2ban, a firewall?)"),
    errno.ETIMEDOUT: ("does not answer", "see whether the host is up and ansible_host is right"),
}


def unreachable(host: str, place: str, user: str, seconds: float, error: BaseException) -> HostUnreachable:
    """Translate a failure to connect; ``place`` is address:port."""
    what, hint = _sentence(place, user, seconds, error)
    return HostUnreachable(f"{host} ({place}) {what}", where=Where(host=host), hint=hint)


def _sentence(place: str, user: str, seconds: float, error: BaseException) -> tuple[str, str]:
    if isinstance(error, NoValidConnectionsError):
        error = next(iter(error.errors.values()))
    if isinstance(error, socket.gaierror):
        return f"has no address: {error.strerror}", "correct ansible_host, or add the name to DNS or /etc/hosts"
    if isinstance(error, paramiko.PasswordRequiredException):
        return "needs a key that is locked by a passphrase", "unlock it first: ssh-add KEY"
    if isinstance(error, paramiko.AuthenticationException):
        return _login(user, str(error))
    if isinstance(error, paramiko.ChannelException):
        return f"opens no further session: {error}", "see MaxSessions in the host's sshd_config"
    if isinstance(error, TimeoutError):
        return f"does not answer within {seconds:g} s", "see whether the host is up and ansible_host is right"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"needs the file {error.filename}, which is not there", "correct ansible_ssh_private_key_file"
    if isinstance(error, OSError) and error.errno in _SYSTEM:
        return _SYSTEM[error.errno]
    return _protocol(str(error), seconds)


def _login(user: str, text: str) -> tuple[str, str]:
    if "timeout" in text.lower():
        return f"did not answer the login of {user} in time", "see the load and the sshd log of the host"
    return (
        f"refuses the login of {user}",
        "see ansible_user and ansible_ssh_private_key_file; keys from the agent and ~/.ssh were tried too",
    )


def _protocol(text: str, seconds: float) -> tuple[str, str]:
    # "No existing session": paramiko's word for a handshake that did not end in time
    if "banner" in text or "No existing session" in text:
        return (
            f"accepts connections, but no SSH server answers on them within {seconds:g} s",
            "is its sshd hung, or the port another's?",
        )
    if "No authentication methods" in text:
        return "was offered no key and no password", "set ansible_ssh_private_key_file, or run ssh-add, or use -k"
    return f"cannot be spoken to over SSH: {text or 'the connection ended'}", "try: ssh -v to the same address"
