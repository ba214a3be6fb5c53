"""How a task ended on a host, in the shapes that Ansible's results have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from r1fleet.errors import FleetError, HostUnreachable
from r1fleet.inventory.vault import masked
from r1fleet.transport import Reply

CENSORED = "the output has been hidden due to the fact that 'no_log: true' was specified for this result"
_KEPT = ("changed", "failed", "skipped", "attempts", "unreachable", "retries", "ansible_loop_var")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result with its status: ok, changed, failed, skipped or unreachable."""

    status: str
    result: Reply
    looped: bool = False
    delegate: str = ""  # the host where it was done, if that was another
    address: str = ""  # and that one's address

    @property
    def bad(self) -> bool:
        """Whether the host cannot simply go on."""
        return self.status in {"failed", "unreachable"}


def finished(result: Reply) -> Outcome:
    """Return the outcome that a result tells of; completes the keys that every result has."""
    if result.get("unreachable"):
        return Outcome("unreachable", {"changed": False, **result})
    result.setdefault("changed", False)
    if result.get("failed"):
        result.setdefault("exception", "(traceback unavailable)")
        return Outcome("failed", result)
    if result.get("skipped"):
        return Outcome("skipped", result)
    result["failed"] = False
    return Outcome("changed" if result["changed"] else "ok", result)


def failure(error: FleetError) -> Outcome:
    """Return the outcome of an error."""
    msg = masked(f"{error.what}{f' ({error.where})' if error.where and error.where.path else ''}")
    hint = {"hint": masked(error.hint)} if error.hint else {}
    if isinstance(error, HostUnreachable):
        return Outcome("unreachable", {"unreachable": True, "changed": False, "msg": masked(error.what), **hint})
    return finished({"failed": True, "msg": msg, **hint})


def skipped(condition: Any) -> Outcome:
    """Return the outcome of a condition that did not hold."""
    reason = "Conditional result was False"
    return Outcome("skipped", {"changed": False, "skipped": True, "skip_reason": reason, "false_condition": condition})


def of_items(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a loop."""
    first = next((outcome for outcome in outcomes if outcome.delegate), None)
    whole = _summed_up(outcomes)
    return replace(whole, delegate=first.delegate, address=first.address) if first else whole


def _summed_up(outcomes: Sequence[Outcome]) -> Outcome:
    results = [outcome.result for outcome in outcomes]
    if not results:
        return Outcome(
            "skipped",
            {"changed": False, "results": [], "skipped": True, "skipped_reason": "No items in the list"},
            looped=True,
        )
    changed = any(result.get("changed") for result in results)
    base: Reply = {"changed": changed, "results": results}
    if any(outcome.status == "unreachable" for outcome in outcomes):
        return Outcome(
            "unreachable", {**base, "unreachable": True, "msg": "One or more items unreachable"}, looped=True
        )
    if any(outcome.status == "failed" for outcome in outcomes):
        return Outcome(
            "failed", {**base, "failed": True, "msg": "One or more items failed", "skipped": False}, looped=True
        )
    if all(outcome.status == "skipped" for outcome in outcomes):
        return Outcome("skipped", {**base, "skipped": True, "msg": "All items skipped"}, looped=True)
    done = {**base, "skipped": False, "msg": "All items completed", "failed": False}
    return Outcome("changed" if changed else "ok", done, looped=True)


def told(result: Mapping[str, Any], *, hidden: bool, diff: bool) -> Mapping[str, Any]:
    """Return what people and programs are told of a result: nothing of a hidden one, differences where wanted."""
    if hidden:
        return censored(result)
    if diff or "diff" not in result:
        return result
    return {name: value for name, value in result.items() if name != "diff"}


def censored(result: Mapping[str, Any]) -> Reply:
    """Return what may be shown of a result that is not to be logged."""
    return {"censored": CENSORED, **{name: result[name] for name in _KEPT if name in result}}
