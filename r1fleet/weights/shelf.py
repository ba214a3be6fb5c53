"""What hosts keep of models, who uses it, whether it is still what its seal says, and what can go."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Final

from r1fleet.errors import ExitCode, FleetError, HostFailed, Where
from r1fleet.events import Observer, Step
from r1fleet.status.contact import Contact
from r1fleet.status.record import DeploymentRecord
from r1fleet.status.survey import Survey, survey
from r1fleet.weights.manifest import MANIFEST, parse
from r1fleet.weights.plan import NETWORK

SEALED, UNSEALED, PARTIAL, LINK = "sealed", "unsealed", "partial", "link"
OLD: Final = 24 * 3600
"""For how many seconds an unfinished folder must lie untouched before it may go."""
Users = dict[str, list[str]]
"""Who reads, and the texts that may name what."""

_DOUBLED = re.compile(r"/(?:\.?/)+")
_BACK = re.compile(r"/(?!\.\./)[^/\s]+/\.\.(?=/)")
_PATHS = re.compile(r"/[^\s\x00\"',:=]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One folder of one host: what it is, how large, and which deployments use it.

    ``storage`` is the kind of file system that it lies on.
    """

    host: str
    path: str
    state: str
    bytes: int
    touched: float = 0.0
    model: str = ""
    revision: str = ""
    digest: str = ""
    leads_to: str = ""
    storage: str = ""
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
    """List what lies in each host's ``folders``; ``declared`` are the texts that name it, by deployment.

    A host that does not tell what runs there counts as one that did not answer.
    """
    seen = survey(contact, hosts=folders)
    lost = dict(seen.lost)
    users = {host: _users(host, declared, seen) for host in folders if host not in lost}
    asked = {
        host: {"action": "list", "folders": list(folders[host]), "named": _paths(of)} for host, of in users.items()
    }
    entries: list[Entry] = []
    for host, answer in contact.ask_all("fleet_shelf", asked).items():
        if isinstance(answer, FleetError):
            lost[host] = answer
            continue
        named = {**_led(users[host], answer["leads"]), "a running process": answer["busy"]}
        entries += _used([_entry(host, row) for row in answer["entries"]], named)
    return Shelf(tuple(entries), lost)


def unused(shelf: Shelf, *, now: float | None = None) -> tuple[Entry, ...]:
    """Return what no deployment uses, and unfinished folders that nothing has touched for a day.

    What carries no seal was not put there by r1fleet, and stays; so does what another host uses, which may be the same
    folder on storage that they share, or may use, because it did not answer.
    """
    moment = time.time() if now is None else now
    return tuple(one for one in _idle(shelf, moment) if not _in_doubt(one, shelf))


def doubtful(shelf: Shelf, *, now: float | None = None) -> tuple[Entry, ...]:
    """Return what stays only because a host that may share it did not answer."""
    moment = time.time() if now is None else now
    return tuple(one for one in _idle(shelf, moment) if _in_doubt(one, shelf))


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


def _users(host: str, declared: Mapping[str, Sequence[str]], seen: Survey) -> Users:
    """Return what deployments read there: those declared, and those launched, by their settings and commands."""
    found = {name: list(texts) for name, texts in declared.items()}
    for record in _records(host, seen):
        found[record.name] = [*found.get(record.name, ()), *record.settings, *(rank.command for rank in record.ranks)]
    return found


def _records(host: str, seen: Survey) -> Iterator[DeploymentRecord]:
    """Yield what was launched there: what the host itself keeps, and what others keep that names it."""
    yield from (view.record for view in seen.hosts[host].deployments if view.record is not None)
    newest = map(seen.record, seen.names())
    yield from (record for record in newest if record is not None and host in record.hosts)


def _paths(users: Users) -> list[str]:
    return sorted({path for texts in users.values() for text in texts for path in _PATHS.findall(text)})


def _led(users: Users, leads: Mapping[str, str]) -> Users:
    """Add where the paths lead that are named."""
    return {
        who: [*texts, *(leads[path] for path in _paths({who: texts}) if path in leads)] for who, texts in users.items()
    }


def _entry(host: str, row: Mapping[str, Any]) -> Entry:
    state = str(row["kind"])
    size, touched, leads_to = int(row["bytes"]), float(row["touched"]), str(row.get("to") or "")
    entry = Entry(host, row["path"], state, size, touched, leads_to=leads_to, storage=row["storage"])
    if not row.get("manifest"):
        return entry
    try:
        manifest = parse(row["manifest"], Where(path=f"{row['path']}/{MANIFEST}", host=host))
    except HostFailed:
        return replace(entry, state=UNSEALED)
    return replace(entry, model=manifest.name, revision=manifest.revision, digest=manifest.digest)


def _used(entries: Sequence[Entry], named: Mapping[str, Iterable[str]]) -> Iterator[Entry]:
    """Say of each folder who names it; a link is used by what names it, and makes its target used, too."""
    texts = {who: [_plain(text) for text in of] for who, of in named.items()}
    direct = {one.path: [who for who, of in texts.items() if _reads(of, one.path)] for one in entries}
    for one in entries:
        linked = [who for other in entries if _target(other) == one.path for who in direct[other.path]]
        yield replace(one, users=tuple(dict.fromkeys((*direct[one.path], *linked))))


def _plain(text: str) -> str:
    """Spell the paths in a text as hosts tell them: no doubled slash, no . or .. in them."""
    text, count = _DOUBLED.sub("/", text), 1
    while count:
        text, count = _BACK.subn("", text)
    return text


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


def _idle(shelf: Shelf, now: float) -> Iterator[Entry]:
    used = {one.path for one in shelf.entries if one.users}
    return (one for one in shelf.entries if one.path not in used and _may_go(one, shelf, now))


def _in_doubt(one: Entry, shelf: Shelf) -> bool:
    """Tell whether a host that did not answer may use it."""
    return bool(shelf.lost) and one.storage in NETWORK and one.state != PARTIAL


def _may_go(one: Entry, shelf: Shelf, now: float) -> bool:
    if one.state == LINK:
        leads = [other for other in shelf.entries if other.host == one.host and other.path == _target(one)]
        inside = "/" not in one.leads_to  # others were made by hand
        return inside and all(other.state != UNSEALED and not other.users for other in leads)
    return one.state == SEALED or (one.state == PARTIAL and now - one.touched > OLD)
