"""What hosts keep of models, who uses it, whether it is still what its seal says, and what can go."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Final

from r1fleet.errors import ExitCode, FleetError, HostFailed, Where
from r1fleet.events import Observer, Step
from r1fleet.status.contact import Contact
from r1fleet.status.survey import survey
from r1fleet.weights.manifest import MANIFEST, parse

SEALED, UNSEALED, PARTIAL, LINK = "sealed", "unsealed", "partial", "link"
OLD: Final = 24 * 3600
"""For how many seconds an unfinished folder must lie untouched before it may go."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One folder of one host: what it is, how large, and which deployments use it."""

    host: str
    path: str
    state: str
    bytes: int
    touched: float = 0.0
    model: str = ""
    revision: str = ""
    digest: str = ""
    leads_to: str = ""
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a cluster's hosts keep; ``lost`` are those that did not answer."""

    entries: tuple[Entry, ...]
    lost: Mapping[str, FleetError] = field(default_factory=dict)

    def as_json(self) -> list[dict[str, Any]]:
        """Turn into plain data."""
        return [asdict(one) for one in self.entries]


@dataclass(frozen=True, slots=True)
class Verified:
    """One sealed folder held against its seal; ``problems`` are files with what is wrong.

    ``error`` says why it could not be looked at.
    """

    host: str
    path: str
    problems: tuple[tuple[str, str], ...] = ()
    error: FleetError | None = None

    @property
    def exit_code(self) -> ExitCode:
        """What it means for a command."""
        if self.error is not None:
            return self.error.exit_code
        return ExitCode.HOST_FAILED if self.problems else ExitCode.OK


def keep(contact: Contact, folders: Mapping[str, Sequence[str]], declared: Mapping[str, Sequence[str]]) -> Shelf:
    """List what lies in each host's ``folders``; ``declared`` are the paths that deployments read, by deployment."""
    asked = {host: {"action": "list", "folders": list(of)} for host, of in folders.items()}
    answers = contact.ask_all("fleet_shelf", asked)
    running = _running(contact)
    entries: list[Entry] = []
    lost: dict[str, FleetError] = {}
    for host, answer in answers.items():
        if isinstance(answer, FleetError):
            lost[host] = answer
            continue
        named = {**declared, **running.get(host, {}), "a running process": answer["busy"]}
        entries += _used([_entry(host, row) for row in answer["entries"]], named)
    return Shelf(tuple(entries), lost)


def unused(shelf: Shelf, *, now: float | None = None) -> tuple[Entry, ...]:
    """Return what no deployment uses, and unfinished folders that nothing has touched for a day.

    What carries no seal was not put there by r1fleet, and stays; so does what another host uses, which may be the same
    folder on storage that they share.
    """
    moment = time.time() if now is None else now
    used = {one.path for one in shelf.entries if one.users}
    return tuple(one for one in shelf.entries if one.path not in used and _may_go(one, shelf, moment))


def verify(contact: Contact, entries: Iterable[Entry], observer: Observer) -> tuple[Verified, ...]:
    """Hash sealed folders again, all hosts at once."""
    wanted: dict[str, list[str]] = {}
    for one in entries:
        if one.state == SEALED:
            wanted.setdefault(one.host, []).append(one.path)
    queued = {}
    for host, paths in wanted.items():
        observer(Step("verify", host=host))
        given = _arguments("verify", paths)
        queued[host] = contact.submit(host, "fleet_shelf", given, partial(_progress, observer, host))
    return tuple(_verified(contact, queued, wanted, observer))


def unseal(contact: Contact, found: Iterable[Verified], observer: Observer) -> ExitCode:
    """Take the seal off damaged folders, so that the next sync brings them again; a host that fails stops no other."""
    wanted: dict[str, list[str]] = {}
    for one in found:
        if one.problems:
            wanted.setdefault(one.host, []).append(one.path)
    answers = contact.ask_all("fleet_shelf", {host: _arguments("unseal", paths) for host, paths in wanted.items()})
    code = ExitCode.OK
    for host, answer in answers.items():
        if isinstance(answer, FleetError):
            observer(Step("unseal", "failed", answer.what, host))
            code = max(code, answer.exit_code)
    return code


def remove(contact: Contact, entries: Iterable[Entry], observer: Observer) -> ExitCode:
    """Take folders away; each host tells how it went."""
    wanted: dict[str, list[str]] = {}
    for one in entries:
        wanted.setdefault(one.host, []).append(one.path)
    answers = contact.ask_all("fleet_shelf", {host: _arguments("remove", paths) for host, paths in wanted.items()})
    code = ExitCode.OK
    for host, answer in answers.items():
        failed = isinstance(answer, FleetError)
        detail = answer.what if isinstance(answer, FleetError) else f"{len(answer['removed'])} folders"
        observer(Step("prune", "failed" if failed else "done", detail, host))
        code = max(code, answer.exit_code) if isinstance(answer, FleetError) else code
    return code


def _arguments(action: str, paths: Sequence[str]) -> dict[str, Any]:
    folders = dict.fromkeys(str(PurePosixPath(path).parent) for path in paths)
    return {"action": action, "folders": list(folders), "paths": list(paths)}


def _verified(
    contact: Contact, queued: Mapping[str, Any], wanted: Mapping[str, Sequence[str]], observer: Observer
) -> Iterator[Verified]:
    for host, future in queued.items():
        answer = contact.settle(host, future)
        if isinstance(answer, FleetError):
            observer(Step("verify", "failed", answer.what, host))
            yield from (Verified(host, path, error=answer) for path in wanted[host])
            continue
        found = [
            Verified(host, row["path"], tuple((one["file"], one["problem"]) for one in row["problems"]))
            for row in answer["verified"]
        ]
        bad = any(one.problems for one in found)
        observer(Step("verify", "failed" if bad else "done", f"{len(found)} folders", host))
        yield from found


def _progress(observer: Observer, host: str, line: str) -> None:
    row = json.loads(line)
    observer(Step("verify", "running", row["path"], host, row["done"], row["total"], "bytes"))


def _running(contact: Contact) -> dict[str, dict[str, list[str]]]:
    """Return, of each host, what the deployments launched there read: paths in their settings and commands."""
    seen = survey(contact)
    found: dict[str, dict[str, list[str]]] = {}
    for name in seen.names():
        record = seen.record(name)
        for host in record.hosts if record else ():
            texts = [*(record.settings if record else ()), *(rank.command for rank in (record.ranks if record else ()))]
            found.setdefault(host, {})[name] = texts
    return found


def _entry(host: str, row: Mapping[str, Any]) -> Entry:
    state = str(row["kind"])
    entry = Entry(host, row["path"], state, int(row["bytes"]), float(row["touched"]), leads_to=str(row.get("to") or ""))
    if not row.get("manifest"):
        return entry
    try:
        manifest = parse(row["manifest"], Where(path=f"{row['path']}/{MANIFEST}", host=host))
    except HostFailed:
        return replace(entry, state=UNSEALED)
    return replace(entry, model=manifest.name, revision=manifest.revision, digest=manifest.digest)


def _used(entries: Sequence[Entry], named: Mapping[str, Iterable[str]]) -> Iterator[Entry]:
    """Say of each folder who names it; a link is used by what names it, and makes its target used, too."""
    texts = {who: list(of) for who, of in named.items()}
    direct = {one.path: [who for who, of in texts.items() if _reads(of, one.path)] for one in entries}
    for one in entries:
        linked = [who for other in entries if _target(other) == one.path for who in direct[other.path]]
        yield replace(one, users=tuple(dict.fromkeys((*direct[one.path], *linked))))


def _target(one: Entry) -> str:
    return str(PurePosixPath(one.path).parent / one.leads_to) if one.state == LINK else ""


def _reads(texts: Iterable[str], path: str) -> bool:
    """Tell whether a folder is named, or may have been made of one that is: such a one has its name and more."""
    return any(_names(text, path) or (text and path.startswith(f"{text}-")) for text in texts)


def _names(text: str, path: str) -> bool:
    """Tell whether a text names the folder or something in it."""
    start = text.find(path)
    while start >= 0:
        following = text[start + len(path) : start + len(path) + 1]
        if not following or not (following.isalnum() or following in "._-@"):
            return True
        start = text.find(path, start + 1)
    return False


def _may_go(one: Entry, shelf: Shelf, now: float) -> bool:
    if one.state == LINK:
        leads = [other for other in shelf.entries if other.host == one.host and other.path == _target(one)]
        inside = "/" not in one.leads_to  # others were made by hand
        return inside and all(other.state != UNSEALED and not other.users for other in leads)
    return one.state == SEALED or (one.state == PARTIAL and now - one.touched > OLD)
