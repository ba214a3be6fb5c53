"""Bring a model into a staging folder and seal it: from hubs, from a folder, or big files from a drop folder."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from r1fleet.agent import soundness
from r1fleet.agent.context import Context
from r1fleet.modules import _staging
from r1fleet.modules._folder_source import Folder
from r1fleet.modules._hub import Hub, Patience, Stopped
from r1fleet.modules._hub_chain import Chain, Link
from r1fleet.modules._hub_refusals import Refused
from r1fleet.modules._hub_rows import BIG, misplaced, told
from r1fleet.modules._landing import Job, Landing

ARGUMENTS = {
    "model": {"type": "str", "required": True},
    "revision": {"type": "str", "required": True},
    "commit": {"type": "str", "default": ""},
    "origin": {"type": "str", "default": ""},
    "files": {"type": "list", "elements": "dict", "required": True},
    "folder": {"type": "str", "default": ""},
    "drop": {"type": "str", "default": ""},
    "hubs": {"type": "list", "elements": "dict", "default": [], "no_log": True},
    "staging": {"type": "path", "required": True},
    "workers": {"type": "int", "default": 8},
    "attempts": {"type": "int", "default": 6},
    "pause": {"type": "float", "default": 1.0},
    "silence": {"type": "float", "default": 30.0},
}
CHECK_MODE = False

_TOLD_EVERY = 0.5
_MOST = 10


def run(ctx: Context) -> dict[str, Any]:
    """Fetch what is not there yet; each finished file and the bytes so far are told as JSON lines."""
    jobs = [Job(row["path"], row["size"], row.get("sha256") or "", row.get("git") or "") for row in ctx.args["files"]]
    faults = list(misplaced(ctx.args["files"]))
    if faults:
        text = "the listing cannot be taken:\n%s" % told(faults)
        ctx.fail(text, reason="listing", hint="nothing was fetched: take another source")
    with _staging.Staging(ctx.args["staging"]) as staging:
        work = _Work(ctx, staging)
        jobs = work.told_apart(jobs)
        work.run(sorted(jobs, key=lambda job: job.size))
        manifest = staging.seal(jobs, ctx.args["model"], ctx.args["commit"], ctx.args["origin"])
    return {"changed": bool(work.fetched), "manifest": manifest, "moved": work.moved}


class _Work:
    """All files of one call: several at a time, small ones first."""

    def __init__(self, ctx: Context, staging: _staging.Staging) -> None:
        self._ctx = ctx
        self._staging = staging
        self._stop = threading.Event()
        self._notes: list[str] = []
        self._kept = 0
        self._landings: list[Landing] = []
        # By what was said: one hub's refusal is the end of many files.
        self._refused: dict[str, tuple[Refused, list[str]]] = {}
        self._told_at = 0.0
        self._folder = self._opened(ctx.args["folder"])
        self._drop = self._opened(ctx.args["drop"])
        self._chain = Chain(self._links(), self._notes.append)
        self.fetched = 0

    @property
    def moved(self) -> int:
        """Bytes that have come in this run."""
        return sum(landing.moved for landing in self._landings)

    def told_apart(self, jobs: list[Job]) -> list[Job]:
        """Let nothing that has come of an older version of a folder's file count for it."""
        return [self._folder.stamped(job) for job in jobs] if self._folder else jobs

    def run(self, jobs: list[Job]) -> None:
        """Fetch all files or fail; what has come stays."""
        todo = []
        for job in jobs:
            if self._staging.holds(job):
                self._kept += job.size
                self._tell_file(job)
            else:
                todo.append(job)
        near = [folder for folder in (self._folder, self._drop) if folder]
        path = self._staging.path
        self._staging.refuse_lack_of_space([job for job in todo if not any(one.shares(job, path) for one in near)])
        self._fetch([job for job in todo if job.size < BIG])
        self._refuse_missing_shards(jobs)
        big = [job for job in todo if job.size >= BIG]
        missing = {job: self._drop.lacks(job) for job in big} if self._drop else {}
        self._fetch([job for job in big if not missing.get(job)])
        self._refuse_missing({job: problem for job, problem in missing.items() if problem})

    def _opened(self, path: str) -> Folder | None:
        if not path:
            return None
        folder = Folder(os.path.expanduser(path), self._stop.is_set)
        if not os.path.isdir(folder.path):
            self._ctx.fail("there is no folder %s" % folder.path, reason="folder", hint="make it, or correct --from")
        return folder

    def _links(self) -> list[Link]:
        args = self._ctx.args
        patience = Patience(args["attempts"], args["pause"], args["silence"], self._stop)
        # The hub that made the listing has answered just now; those before it have not.
        rows = sorted(args["hubs"], key=lambda row: row["endpoint"].rstrip("/") != args["origin"])
        hubs = [Hub(self._ctx, row, patience) for row in rows]
        return [Link(hub, args["model"], args["revision"], args["commit"], args["origin"]) for hub in hubs]

    def _fetch(self, jobs: list[Job]) -> None:
        pool = ThreadPoolExecutor(max(1, self._ctx.args["workers"]))
        waiting = {pool.submit(self._one, job): job for job in jobs}
        try:
            while waiting:
                finished, _ = wait(waiting, timeout=_TOLD_EVERY, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._finish(waiting.pop(future), future)
                self._tell()
        finally:
            if waiting:  # the call was cancelled: no worker may outlive the lock on the folder
                self._stop.set()
                for future in waiting:
                    future.cancel()
            pool.shutdown()
        if self._refused:
            self._fail()

    def _one(self, job: Job) -> str:
        landing = Landing(self._staging.path, job)
        self._landings.append(landing)
        with landing:
            near = self._folder or (self._drop if job.size >= BIG else None)
            (near or self._chain).take(landing)
            if self._stop.is_set():
                raise Stopped
            return landing.settle()

    def _finish(self, job: Job, future: Future[str]) -> None:
        try:
            self._staging.record(job, future.result())
        except Refused as refused:
            self._refuse(refused, job.path)
        except OSError as error:
            text = "cannot write %s below %s: %s" % (job.path, self._staging.path, error.strerror or error)
            self._refuse(Refused("target", text, "mend that and try again: what has come is kept"), job.path)
        else:
            self.fetched += 1
            self._tell_file(job)

    def _tell_file(self, job: Job) -> None:
        row = {"file": job.path, "size": job.size, "sha256": self._staging.sha256(job), "git": job.git}
        self._ctx.progress(json.dumps(row))

    def _tell(self) -> None:
        while self._notes:
            self._ctx.progress(json.dumps({"note": self._notes.pop(0)}))
        if time.monotonic() - self._told_at >= _TOLD_EVERY:
            self._told_at = time.monotonic()
            self._ctx.progress(json.dumps({"done": self._kept + sum(one.have for one in self._landings)}))

    def _refuse(self, refused: Refused, path: str) -> None:
        same = self._refused.setdefault(refused.text, (refused, []))
        same[1].append(path)

    def _fail(self) -> None:
        lines = []
        for text, (_, paths) in self._refused.items():
            more = " and %d more files" % (len(paths) - 1) if len(paths) > 1 else ""
            lines.append("%s%s could not be fetched: %s" % (paths[0], more, text))
        if len(lines) > _MOST:
            lines[_MOST:] = ["and %d more" % (len(lines) - _MOST)]
        first = next(iter(self._refused.values()))[0]
        self._ctx.fail("\n  ".join(lines), reason=first.reason, hint=first.todo)

    def _refuse_missing_shards(self, jobs: list[Job]) -> None:
        """Compare the index with the listing before the first shard is fetched."""
        names = {job.path for job in jobs}
        faults: list[soundness.Fault] = []
        for job in jobs:
            if job.path.endswith(".safetensors.index.json") and "/" not in job.path:
                path = os.path.join(self._staging.path, job.path)
                faults.extend(soundness.of_index(path, job.path, names.__contains__))
        if faults:
            todo = "the source is not complete, or its listing was cut off: take another source"
            self._ctx.fail("shards are missing:\n%s" % told(faults), reason="unsound", hint=todo)

    def _refuse_missing(self, missing: dict[Job, str]) -> None:
        if not missing:
            return
        rows = [{"path": job.path, "size": job.size, "problem": problem} for job, problem in missing.items()]
        lines = ["  %s (%d bytes): %s" % (job.path, job.size, problem) for job, problem in missing.items()]
        text = "%d of the big files are not in %s yet:\n%s" % (len(rows), self._ctx.args["drop"], "\n".join(lines))
        hint = "put them there under these names, and run the same command again"
        self._ctx.fail(text, missing=rows, reason="missing", hint=hint)
