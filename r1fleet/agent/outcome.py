"""How a module's run can end other than by returning."""

from __future__ import annotations

from typing import Any, Dict


class ModuleFailed(Exception):
    """The module failed; ``reply`` is what the controller sees."""

    def __init__(self, msg: str, **more: Any) -> None:
        super().__init__(msg)
        self.msg = msg
        self.reply: Dict[str, Any] = {"changed": False, **more, "failed": True, "msg": msg}


class IdentityRefused(Exception):
    """The identity could not be taken on; ``reason`` is a word that the controller has a sentence for."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Interrupted(BaseException):
    """The call was cancelled or ran out of time; not an Exception, so that no module catches it by chance."""
