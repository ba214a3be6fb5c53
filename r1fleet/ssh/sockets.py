"""A connection's socket: small packets leave at once, and what came is acknowledged at once."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

_DEAD_MILLISECONDS = 12_000


class PromptSocket(socket.socket):
    """A socket that never delays an acknowledgement.

    Right after the login sshd writes twice with Nagle's algorithm still on: its second packet, and with it the
    answer to our request for a channel, would wait 40 ms for an acknowledgement that Linux delays.
    """

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive, then have the kernel acknowledge."""
        data = super().recv(size, flags)
        with suppress(OSError):  # closed by another thread meanwhile
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data


def prompt(sock: Any) -> Any:
    """Tune a TCP socket; a gateway's channel or a ProxyCommand is left as it is."""
    if not isinstance(sock, socket.socket):
        return sock
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not hasattr(socket, "TCP_QUICKACK"):
        return sock
    # A peer that acknowledges nothing is dead, also where nobody listens for its agent's heartbeat.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_MILLISECONDS)
    timeout = sock.gettimeout()
    tuned = PromptSocket(fileno=sock.detach())
    tuned.settimeout(timeout)
    return tuned
