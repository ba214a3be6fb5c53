"""Find out which hosts can connect to which: listeners of our own on one side, connections to them from the others.

Only ports that this module itself has opened are ever connected to: a probe must not take a rendezvous' place.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS = {
    "action": {"type": "str", "required": True, "choices": ["listen", "connect", "end"]},
    "address": {"type": "str"},
    "ports": {"type": "list", "default": []},
    "token": {"type": "str", "no_log": True},
    "targets": {"type": "list", "default": []},
    "seconds": {"type": "float", "default": 30.0},
}
LOCAL = True
_ANSWER_SECONDS = 3.0


def run(ctx: Context) -> dict[str, Any]:
    """Listen in the background until the end, connect to others' listeners, or end."""
    if ctx.args["action"] == "listen":
        return _listen(ctx)
    if ctx.args["action"] == "connect":
        return {"changed": False, "tried": _Dial(ctx.args["token"], ctx.args["targets"]).tried()}
    _end(ctx.cache)
    return {"changed": False}


def _listen(ctx: Context) -> dict[str, Any]:
    """Open a listener at each port (0: one that the kernel chooses); a port that is taken is left out."""
    _end(ctx.cache)
    opened = []
    for port in ctx.args["ports"]:
        with contextlib.suppress(OSError):
            opened.append(socket.create_server((ctx.args["address"], int(port)), family=_family(ctx.args["address"])))
    ctx.cache["reach"] = opened
    until = time.monotonic() + ctx.args["seconds"]
    answer = ctx.args["token"].encode("ascii")
    for listener in opened:
        threading.Thread(target=_serve, args=(listener, answer, until), daemon=True).start()
    return {"changed": False, "ports": [listener.getsockname()[1] for listener in opened]}


def _serve(listener: socket.socket, answer: bytes, until: float) -> None:
    """Tell everyone who connects the token, until time is up or the listener is closed."""
    listener.settimeout(1.0)
    while time.monotonic() < until:
        try:
            connection, _ = listener.accept()
        except socket.timeout:
            continue
        except OSError:
            return
        with contextlib.suppress(OSError), connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.sendall(answer)
    listener.close()


def _end(cache: dict[str, Any]) -> None:
    for listener in cache.pop("reach", ()):
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


class _Dial:
    """Connects to many listeners at once and hears whether each says the token."""

    def __init__(self, token: str, targets: list[dict[str, Any]]) -> None:
        self._token = token.encode("ascii")
        self._rows = [
            {"host": target["host"], "address": target["address"], "port": int(port), "problem": "no answer"}
            for target in targets
            for port in target["ports"]
        ]

    def tried(self) -> list[dict[str, Any]]:
        """Return a row per port, its problem empty where the token came."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        with selectors.DefaultSelector() as selector:
            for row in self._rows:
                self._begin(selector, row)
            while selector.get_map() and time.monotonic() < deadline:
                for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                    self._hear(selector, key)
            for key in list(selector.get_map().values()):
                _shut(selector, key)
        return self._rows

    @staticmethod
    def _begin(selector: selectors.BaseSelector, row: dict[str, Any]) -> None:
        try:
            connection = socket.socket(_family(row["address"]), socket.SOCK_STREAM)
            connection.setblocking(False)
            connection.connect_ex((row["address"], row["port"]))
            selector.register(connection, selectors.EVENT_READ, row)
        except OSError as error:
            row["problem"] = error.strerror or str(error)

    def _hear(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        connection: socket.socket = key.fileobj  # type: ignore[assignment]
        try:
            said = connection.recv(256)
            key.data["problem"] = "" if said == self._token else "something else answered"
        except BlockingIOError:
            return
        except OSError as error:
            key.data["problem"] = error.strerror or str(error)
        _shut(selector, key)


def _shut(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    selector.unregister(key.fileobj)
    connection: socket.socket = key.fileobj  # type: ignore[assignment]
    connection.close()


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
