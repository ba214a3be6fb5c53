"""Find hosts that see the same storage, so that each model is brought there once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from r1fleet.errors import FleetError
from r1fleet.status.contact import Contact
from r1fleet.weights.plan import SHARES, HostRow, ModelPlan, SyncPlan

PREFETCH: Final[Mapping[str, str]] = {
    "sglang": "args: {weight-loader-prefetch-checkpoints: true} (SGLang 0.5.23)",
    "vllm": "args: {safetensors-load-strategy: prefetch} (vLLM 0.32)",
}
"""What an engine has for weights that every rank would otherwise read whole, over a cold network file system."""


def with_shared(plan: SyncPlan, contact: Contact, *, check: bool) -> SyncPlan:
    """Let one host receive for all that see the same folder.

    They are found by a file that each leaves for the others; with ``check``, which changes nothing, by what they say
    is mounted there.
    """
    return replace(plan, models=tuple(_grouped(one, contact, check=check) if one.moves else one for one in plan.models))


def prefetch_note(plan: ModelPlan) -> str:
    """Say what to set where several hosts read from the same storage; empty where they don't, or nothing is known."""
    sharing = [row.host for row in plan.rows if row.by]
    options = [f"{engine}: {PREFETCH[engine]}" for engine in plan.model.engines if engine in PREFETCH]
    if not sharing or not options:
        return ""
    return (
        f"{plan.model.title} lies on storage that {1 + len(sharing)} hosts share: while that is cold, ranks read "
        f"slowly over the network; reading ahead helps: {'; '.join(options)}"
    )


def _grouped(plan: ModelPlan, contact: Contact, *, check: bool) -> ModelPlan:
    rows = [row for row in plan.waiting if row.host in contact.sessions and not row.problem and not row.room.read_only]
    if len(rows) < 2:
        return plan
    groups = tuple(_told(rows)) if check else _seen(str(PurePosixPath(plan.model.path).parent), rows, contact)
    fetching = plan.origin.host if plan.origin else ""
    by = {}
    for group in groups:
        chief = fetching if fetching in group else group[0]
        by.update({host: chief for host in group if host != chief})
    return replace(plan, rows=tuple(_sharing(row, by.get(row.host, "")) for row in plan.rows))


def _sharing(row: HostRow, by: str) -> HostRow:
    return replace(row, state=SHARES, by=by, needs=0) if by else row


def _told(rows: Sequence[HostRow]) -> Iterator[tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.room.shared:
            found.setdefault(row.room.source, []).append(row.host)
    return (tuple(group) for group in found.values() if len(group) > 1)


def _seen(folder: str, rows: Sequence[HostRow], contact: Contact) -> tuple[tuple[str, ...], ...]:
    """Let every host leave a file and look for those of the others."""
    names, nonce = [row.host for row in rows], uuid.uuid4().hex
    left = _ask(contact, folder, nonce, "leave", {name: [name] for name in names})
    try:
        answers = contact.ask_all("fleet_nonce", _arguments(folder, nonce, "look", dict.fromkeys(left, left)))
    finally:
        _ask(contact, folder, nonce, "take", {name: [name] for name in left})
    found: dict[tuple[str, ...], list[str]] = {}
    for name, answer in answers.items():
        if not isinstance(answer, FleetError):
            found.setdefault(tuple(answer["hosts"]), []).append(name)
    return tuple(tuple(group) for group in found.values() if len(group) > 1)


def _ask(contact: Contact, folder: str, nonce: str, action: str, hosts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the hosts that could do it."""
    answers = contact.ask_all("fleet_nonce", _arguments(folder, nonce, action, hosts))
    return [name for name, answer in answers.items() if not isinstance(answer, FleetError)]


def _arguments(
    folder: str, nonce: str, action: str, hosts: Mapping[str, Sequence[str]]
) -> dict[str, Mapping[str, object]]:
    return {name: {"folder": folder, "action": action, "nonce": nonce, "hosts": list(of)} for name, of in hosts.items()}
