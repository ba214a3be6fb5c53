"""A folder as a source: what lies there, by which hashes its maker knew it, and what is wrong with it."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Callable, Iterator, NamedTuple

from r1fleet.agent import soundness
from r1fleet.agent.outcome import ModuleFailed
from r1fleet.agent.soundness import Fault
from r1fleet.modules import _folders
from r1fleet.modules._hub_refusals import Refused
from r1fleet.modules._hub_rows import BIG, MANIFEST, WORK, misplaced, told, without_doubles
from r1fleet.modules._landing import Job, Landing

_CHUNK = 1024 * 1024
_LEFTOVERS = (".git", ".cache", "._____temp", WORK)  # of git, of huggingface_hub, of modelscope, of r1fleet
_NOTES = (".msc", ".mdl", ".mv", MANIFEST)
_SHA256, _SHA1 = re.compile(r"^[0-9a-f]{64}$"), re.compile(r"^[0-9a-f]{40}$")


class Place(NamedTuple):
    """A folder with files, the commit that they are of, and in whose words hashes are told there."""

    folder: str
    commit: str


def find(given: str, model: str, revision: str) -> Place:
    """Return the folder itself, or the snapshot of the model in the cache that it is."""
    folder = os.path.abspath(os.path.expanduser(given))
    if not os.path.isdir(folder):
        raise _refused("there is no folder %s" % folder, "it is looked for on the host that fetches: correct the path")
    name = "models--" + model.replace("/", "--")
    inside = os.path.join(folder, name)
    if os.path.isdir(inside):
        return _snapshot(inside, model, revision)
    base = os.path.basename(folder)
    if base.startswith("models--") and os.path.isdir(os.path.join(folder, "snapshots")):
        if base != name:
            text = "%s is the cache of %s, not of %s" % (folder, base[len("models--") :].replace("--", "/"), model)
            raise _refused(text, "correct --from or the deployment's model")
        return _snapshot(folder, model, revision)
    if any(entry.startswith("models--") for entry in os.listdir(folder)):
        raise _refused(
            "%s does not hold %s" % (folder, model), "download it into this cache first: hf download %s" % model
        )
    return Place(folder, _commit_of(folder))


def rows(place: Place, model: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the files with the hashes that are known of them, and what is left out; refuse an unfit folder."""
    faults: list[Fault] = []
    found = list(_walk(place.folder, faults))
    taken, left_out = without_doubles(found)
    names = {row["path"] for row in taken}
    faults.extend(misplaced(taken))
    for row in taken:
        path = os.path.join(place.folder, row["path"])
        fault = soundness.of_file(path, row["path"]) or _of_size(row)
        if fault:
            faults.append(fault)
        if row["path"].endswith(".safetensors.index.json") and "/" not in row["path"]:
            faults.extend(soundness.of_index(path, row["path"], names.__contains__))
    if faults:
        raise _refused(
            "%s is not fit to be copied:\n%s" % (place.folder, told(faults)),
            "nothing was copied: mend these and run it again",
        )
    if not taken:
        raise _refused("%s holds no files" % place.folder, "correct the path")
    return taken, left_out


def is_target(place: Place, target: str) -> bool:
    """Tell whether a folder is the very one that the model is to have; refuse one that would be replaced with it.

    A target that is a link is replaced itself, and what it leads to stays.
    """
    if not target or os.path.islink(target):
        return False
    folder, own = os.path.realpath(place.folder), os.path.realpath(target)
    if folder.startswith(own + "/"):
        text = "%s lies inside %s, which is replaced when the model is brought there" % (place.folder, target)
        raise _refused(text, "move it elsewhere, and name it there")
    return folder == own


def refuse_links(place: Place, taken: list[dict[str, Any]]) -> None:
    """Refuse to seal a folder where it lies that has links: what they lead to may change or go."""
    links = [row["path"] for row in taken if os.path.islink(os.path.join(place.folder, row["path"]))]
    if links:
        more = " and %d more are links" % (len(links) - 1) if len(links) > 1 else " is a link"
        text = "%s cannot be sealed where it lies: %s%s" % (place.folder, links[0], more)
        raise _refused(text, "move the folder elsewhere and name it there: what its links lead to is taken")


def beside(place: Place) -> list[str]:
    """Return what tools have left in a folder."""
    names = (*_LEFTOVERS, *_NOTES)
    return [one for one in names if one != MANIFEST and os.path.lexists(os.path.join(place.folder, one))]


def shared(place: Place, taken: list[dict[str, Any]], target: str) -> int:
    """Return how many bytes take no room beside the target: big files on its disk that this user may link."""
    device = os.stat(_folders.existing(os.path.dirname(target))).st_dev if target else -1
    found = [os.stat(os.path.join(place.folder, row["path"])) for row in taken if row["size"] >= BIG]
    return sum(one.st_size for one in found if one.st_dev == device and _may_be_linked(one))


def _may_be_linked(found: os.stat_result) -> bool:
    return bool(found.st_mode & 0o004) and os.geteuid() in (0, found.st_uid)


def _snapshot(repository: str, model: str, revision: str) -> Place:
    try:
        with open(os.path.join(repository, "refs", revision), encoding="utf-8") as stream:
            commit = stream.read(64).strip()
    except OSError:
        commit = revision
    folder = os.path.join(repository, "snapshots", commit)
    if not os.path.isdir(folder) or "/" in commit or commit in ("", ".", ".."):
        kept = sorted(os.listdir(os.path.join(repository, "refs"))) if os.path.isdir(repository + "/refs") else []
        text = "%s holds no snapshot of %s" % (repository, revision)
        hint = "hf download %s --revision %s; it holds: %s" % (model, revision, ", ".join(kept) or "nothing")
        raise ModuleFailed(text, reason="revision", hint=hint)
    return Place(folder, commit)


def _commit_of(folder: str) -> str:
    """Return the commit that a sealed folder names."""
    commit = _manifest(folder).get("revision")
    return commit if isinstance(commit, str) else ""


def _walk(folder: str, faults: list[Fault]) -> Iterator[dict[str, Any]]:
    sealed = _sealed(folder)

    def unread(error: OSError) -> None:
        path = os.path.relpath(error.filename or folder, folder)
        faults.append(Fault(path, "cannot be read by this user", "give the right to read it"))

    for place, folders, names in os.walk(folder, onerror=unread):
        within = os.path.relpath(place, folder)
        for name in list(folders):
            if within == "." and name in _LEFTOVERS:
                folders.remove(name)
            elif os.path.islink(os.path.join(place, name)):
                path = os.path.normpath(os.path.join(within, name))
                faults.append(Fault(path, "is a link to a folder", "put the files themselves there"))
        for name in sorted(names):
            path = os.path.normpath(os.path.join(within, name))
            if path not in _NOTES:
                row = _row(folder, path, sealed, faults)
                if row:
                    yield row


def _row(folder: str, path: str, sealed: dict[str, Any], faults: list[Fault]) -> dict[str, Any] | None:
    full = os.path.join(folder, path)
    real = os.path.realpath(full)
    if not os.path.exists(real):
        faults.append(Fault(path, "is a link to a file that is not there", "download it again (hf download mends it)"))
        return None
    if not os.path.isfile(real):
        faults.append(Fault(path, "is no file", "remove it"))
        return None
    if not os.access(real, os.R_OK):
        faults.append(Fault(path, "cannot be read by this user", "give the right to read it"))
        return None
    known = _by_link(full, real) or sealed.get(path) or _by_metadata(folder, path)
    return {"path": path, "size": os.path.getsize(real), "sha256": "", "git": "", **known}


def _of_size(row: dict[str, Any]) -> Fault | None:
    wanted = row.pop("wanted", row["size"])
    if wanted == row["size"]:
        return None
    return Fault(row["path"], "has %d bytes in place of %d" % (row["size"], wanted), "download it again")


def _by_link(full: str, real: str) -> dict[str, Any]:
    """Return the hash that a cache names a blob by."""
    return _hash(os.path.basename(real)) if os.path.islink(full) else {}


def _by_metadata(folder: str, path: str) -> dict[str, Any]:
    """Return the hash that `hf download --local-dir` noted."""
    noted = os.path.join(folder, ".cache", "huggingface", "download", path + ".metadata")
    try:
        with open(noted, encoding="utf-8") as stream:
            return _hash(stream.read(1024).split("\n")[1].strip())
    except (OSError, ValueError, IndexError):
        return {}


def _sealed(folder: str) -> dict[str, Any]:
    """Return what a manifest of r1fleet's says of each file."""
    found: dict[str, Any] = {}
    for row in _manifest(folder).get("files") or []:
        if isinstance(row, dict) and isinstance(row.get("size"), int):
            git = {"git": row["git"]} if row.get("git") else {}
            found[str(row.get("path"))] = {**_hash(str(row.get("sha256"))), **git, "wanted": row["size"]}
    return found


def _manifest(folder: str) -> dict[str, Any]:
    try:
        with open(os.path.join(folder, MANIFEST), encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("files"), list) else {}


def _hash(text: str) -> dict[str, Any]:
    if _SHA256.match(text):
        return {"sha256": text}
    return {"git": text} if _SHA1.match(text) else {}


def _refused(text: str, hint: str) -> ModuleFailed:
    return ModuleFailed(text, reason="folder", hint=hint)


class Folder:
    """Files that lie on this host already, taken as they are asked for."""

    def __init__(self, path: str, stop: Callable[[], bool]) -> None:
        self.path = os.path.abspath(path)
        self._stop = stop

    def lacks(self, job: Job) -> str:
        """Say what is wrong with the file of that name; "" where it may be the one."""
        found = self._place(job)
        if found is None:
            return "not there yet"
        size = os.path.getsize(found)
        if size != job.size:
            return "%d bytes so far" % size if size < job.size else "it has %d bytes: another file" % size
        return ""

    def shares(self, job: Job, staging: str) -> bool:
        """Tell whether a file takes no room of its own: it is big, and lies on the same disk."""
        found = self._place(job)
        return found is not None and job.size >= BIG and os.stat(found).st_dev == os.stat(staging).st_dev

    def stamped(self, job: Job) -> Job:
        """Mark a file of which no hash is known by what changes when another one takes its place."""
        found = None if job.sha256 or job.git else self._place(job)
        if found is None:
            return job
        about = os.stat(found)
        return job._replace(stamp="%d %d" % (about.st_mtime_ns, about.st_ino))

    def take(self, landing: Landing) -> None:
        """Share the blocks of the file, or copy it, and check it."""
        job = landing.job
        source = self._place(job)
        if source is None:
            raise Refused("folder", "%s is not in %s any more" % (job.path, self.path), "put it there again")
        if landing.have < job.size and landing.share(source):
            landing.read(self._stop)
        else:
            self._copy(source, landing)
        difference = landing.differs()
        todo = "remove that file and download it again: it is damaged, or of another version"
        if not difference and job.stamp and self.stamped(job) != job:
            difference, todo = "has changed while it was read", "run it again once nothing writes to it any more"
        if difference and not self._stop():
            landing.restart()
            raise Refused("hash", "%s %s" % (source, difference), todo)

    def _copy(self, source: str, landing: Landing) -> None:
        with open(source, "rb") as stream:
            stream.seek(landing.have)
            while not self._stop() and landing.have <= landing.job.size:
                chunk = stream.read(_CHUNK)
                if not chunk:
                    return
                landing.write(chunk)

    def _place(self, job: Job) -> str | None:
        """Return where the file is: under its path, or its bare name."""
        for name in (job.path, os.path.basename(job.path)):
            path = os.path.realpath(os.path.join(self.path, name))
            if os.path.isfile(path):
                return path
        return None
