"""Take files from the first hub of a chain that has them, and only where it has the very same content."""

from __future__ import annotations

import http.client
import re
import threading
from typing import Any, Callable

from r1fleet.modules._hub import Broken, Hub, Stopped
from r1fleet.modules._hub_listing import address, listing
from r1fleet.modules._hub_refusals import Asked, Refused
from r1fleet.modules._landing import Job, Landing

_CHUNK = 256 * 1024


class Link:
    """One hub of the chain; what it holds is asked when it is first needed, unless it made the listing."""

    def __init__(self, hub: Hub, model: str, revision: str, commit: str, origin: str) -> None:
        self.hub = hub
        self._revision = (hub.kind == "huggingface" and commit) or revision
        self._model = model
        self._rows: dict[str, Any] | None = None
        self._is_first = hub.endpoint == origin
        self._lock = threading.Lock()
        self.down: Refused | None = None

    def take(self, landing: Landing) -> None:
        """Download what is missing of a file and check it."""
        if not self._is_first:
            self._compare(landing.job)
        where = address(self.hub, self._model, self._revision, landing.job.path)
        self._download(landing, where)
        if landing.differs() and landing.inherited:
            # What an earlier run or another hub left may be at fault.
            landing.inherited = 0
            landing.restart()
            self._download(landing, where)
        difference = landing.differs()
        if difference:
            landing.restart()
            raise self._other(difference, landing.job)

    def _download(self, landing: Landing, where: str) -> None:
        if landing.have < landing.job.size:
            self.hub.persist(lambda: self._once(landing, where), lambda: landing.furthest)

    def _once(self, landing: Landing, where: str) -> None:
        job, start = landing.job, landing.have
        try:
            answer = self.hub.open(where, Asked(self._model, path=job.path), start)
        except Broken as broken:
            if broken.reason == "range":
                landing.restart()
            raise
        with answer:
            if start and not _continues(answer, start):
                landing.restart()
            self._refuse_size(answer, landing)
            try:
                self._pour(answer, landing)
            except (OSError, http.client.HTTPException) as error:
                text = "the connection broke off at byte %d of %s" % (landing.have, job.path)
                raise Broken("%s: %s" % (text, error), reason="route") from error
        if landing.have < job.size:
            raise Broken("%s broke off at byte %d" % (job.path, landing.have), reason="route")

    def _pour(self, answer: Any, landing: Landing) -> None:
        while True:
            chunk = answer.read1(_CHUNK)
            if self.hub.patience.stop.is_set():
                raise Stopped
            if not chunk:
                return
            if landing.have + len(chunk) > landing.job.size:
                landing.restart()
                raise self._other("has more than %d bytes" % landing.job.size, landing.job)
            landing.write(chunk)

    def _refuse_size(self, answer: Any, landing: Landing) -> None:
        """Compare the sizes before the first byte."""
        told = _total(answer)
        if told is not None and told != landing.job.size:
            raise self._other("has %d bytes in place of %d" % (told, landing.job.size), landing.job)

    def _other(self, difference: str, job: Job) -> Refused:
        text = "%s: its %s is another file: it %s" % (self.hub.name, job.path, difference)
        return Refused("hash", text, "take another source; where the model has just changed, list it again")

    def _compare(self, job: Job) -> None:
        """Refuse a hub that tells another size or hash than the listing."""
        row = self._held().get(job.path)
        if row is None:
            raise Refused("file", "%s: it has no %s" % (self.hub.name, job.path), "take another source")
        for name in ("size", "sha256", "git"):
            told, wanted = row[name], getattr(job, name)
            if told != wanted and told != "" and wanted != "":
                raise self._other("has the %s %s in place of %s" % (name, told, wanted), job)

    def _held(self) -> dict[str, Any]:
        with self._lock:
            if self._rows is None:
                if self.hub.kind == "modelscope" and re.match(r"^[0-9a-f]{40}$", self._revision):
                    self._revision = "main"  # commits of another hub mean nothing there; contents do
                _, rows = listing(self.hub, self._model, self._revision)
                self._rows = {row["path"]: row for row in rows}
            return self._rows


class Chain:
    """All hubs, in their order; one that refused for good is not asked again."""

    def __init__(self, links: list[Link], note: Callable[[str], None]) -> None:
        self._links = links
        self._note = note

    def take(self, landing: Landing) -> None:
        """Download one file from the first hub that gives it."""
        refusals: list[Refused] = []
        for link in self._links:
            try:
                if link.down is not None:
                    raise link.down
                link.take(landing)
                return
            except Refused as refused:
                refusals.append(refused)
                if refused.is_mendable and link.hub.trusted:
                    break  # no other hub may be a way around a licence
                self._remember(link, refused)
        raise Refused(refusals[0].reason, "; ".join(one.text for one in refusals), refusals[0].todo)

    def _remember(self, link: Link, refused: Refused) -> None:
        if refused.is_lasting and link.down is None:
            link.down = refused
        if link is not self._links[-1] and link.down in (None, refused):
            self._note("%s. The next hub is asked" % refused.text)


def _continues(answer: Any, start: int) -> bool:
    told = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return answer.getcode() == 206 and told is not None and int(told.group(1)) == start


def _total(answer: Any) -> int | None:
    """Return how long the whole file is, where the answer tells."""
    ranged = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
    if ranged:
        return int(ranged.group(1))
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and answer.getcode() == 200 else None
