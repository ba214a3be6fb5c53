"""The identities that calls want: this process's own, or those of its child agents."""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, List, Optional, Tuple

from r1fleet.agent import become, frames, identity
from r1fleet.agent.frames import Frame
from r1fleet.agent.outcome import IdentityRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from r1fleet.agent.become import Child
    from r1fleet.agent.boot import Start


class Identities:
    """One child agent per identity, started when a call first wants it and told all that this one was told."""

    def __init__(self, start: Start, relay: Callable[[Frame], None]) -> None:
        self._start = start
        self._relay = relay
        self._lock = threading.Lock()
        self._children: Dict[Tuple[str, str], Child] = {}
        self._refused: Dict[Tuple[str, str, str], IdentityRefused] = {}
        self._settings: Dict[str, Any] = {}
        self._code: List[bytes] = []
        self._login: Optional[str] = None  # who logged in, where this process became root at once

    def settle(self, settings: Dict[str, Any]) -> None:
        """Take the controller's settings."""
        self._settings = settings
        self._login = identity.login() if settings.get("elevated") else None

    def learn(self, frame: Frame) -> None:
        """Keep modules for children to come, and pass them on to those that are there."""
        data = frames.encode(*frame)
        self._code.append(data)
        for child in self._children.values():
            child.write(data)

    def wanted(self, asked: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
        """Return which identity a call wants to be run as, None where this process has it."""
        if asked is None:
            return {"user": self._login, "method": "login"} if self._login else None
        return None if identity.is_me(asked["user"]) else asked

    def child(self, wanted: Dict[str, Any]) -> Child:
        """Return the agent of an identity; raise IdentityRefused where there can be none."""
        key = (wanted["user"], wanted.get("flags") or "")
        child = self._children.get(key)
        if child is not None and child.alive:
            return child
        attempt = (*key, wanted.get("password") or "")
        # Twice the same wrong password is one step nearer to a locked account.
        if attempt in self._refused:
            raise self._refused[attempt]
        try:
            child = become.Child(self._start, wanted, self._relay)
        except IdentityRefused as refused:
            if refused.reason == "password-wrong":
                self._refused[attempt] = refused
            raise
        settings = {name: value for name, value in self._settings.items() if name != "elevated"}
        child.write(frames.encode_json(frames.SETTINGS, 0, settings) + b"".join(self._code))
        with self._lock:
            self._children[key] = child
        return child

    def tell(self, data: bytes) -> None:
        """Write to every child."""
        with self._lock:
            children = list(self._children.values())
        for child in children:
            child.write(data)

    def end(self) -> None:
        """End all children; they end what they run."""
        for child in self._children.values():
            child.close()

    def wait(self, seconds: float) -> None:
        """Wait for the children's end."""
        for child in self._children.values():
            child.wait(seconds)
