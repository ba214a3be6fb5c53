"""A hub of models on this machine that speaks as Hugging Face and ModelScope do, with a second server for big files.

What the hubs' own clients see of it is compared with what r1fleet sees in tests/differential/test_hub_clients.py.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.standins.hubmodels import COMMIT, Fault, Model, StandInHub, git_hash, sha256

__all__ = ["COMMIT", "Fault", "Model", "StandInHub", "git_hash", "serve_hub", "sha256"]

LFS_FROM = 1024
_CHUNK = 64 * 1024


@contextmanager
def serve_hub(address: str = "127.0.0.1") -> Iterator[StandInHub]:
    """Serve on two free ports of an address of this machine until the block ends."""
    hub = StandInHub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    with ThreadingHTTPServer((address, 0), Handler) as front, ThreadingHTTPServer((address, 0), Handler) as cdn:
        for server in (front, cdn):
            server.daemon_threads = True
            server.block_on_close = False
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        hub.url, hub.cdn = (f"http://{address}:{server.server_port}" for server in (front, cdn))
        try:
            yield hub
        finally:
            hub.rate = 0.0
            front.shutdown()
            cdn.shutdown()


class _Refusal(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: StandInHub

    def log_message(self, *words: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.hub
        with hub.lock:
            hub.asked.append((f"http://{self.headers['Host']}{self.path}", dict(self.headers)))
        self._cut = -1
        fault = hub.fault(self.path)
        if fault and fault.cut_after >= 0:
            self._cut = fault.cut_after
        elif fault:
            self._send(fault.status, fault.body, fault.headers)
            return
        parts = urllib.parse.urlsplit(self.path)
        words = [urllib.parse.unquote(word) for word in parts.path.strip("/").split("/")]
        query = {name: values[0] for name, values in urllib.parse.parse_qs(parts.query).items()}
        try:
            self._route(words, query)
        except _Refusal as refusal:
            self._refuse(refusal, is_modelscope=words[:2] == ["api", "v1"])

    def _route(self, words: list[str], query: dict[str, str]) -> None:
        if words[0] == "cdn":
            self._file("/".join(words[3:]), self.hub.models["/".join(words[1:3])])
        elif words[:3] == ["api", "v1", "models"]:
            self._modelscope("/".join(words[3:5]), words[5:], query)
        elif words[:2] == ["api", "models"]:
            self._hugging_face("/".join(words[2:4]), words[4:], query)
        elif len(words) > 4 and words[2] == "resolve":
            self._resolve("/".join(words[:2]), words[3], "/".join(words[4:]))
        else:
            raise _Refusal(404)

    # --- Hugging Face ------------------------------------------------------------------------------

    def _hugging_face(self, name: str, words: list[str], query: dict[str, str]) -> None:
        model = self._seen(name)
        commit = self._commit(model, words[1] if len(words) > 1 else "main")
        if words[:1] != ["tree"]:
            siblings = [{"rfilename": path} for path in model.files]
            self._json({"id": name, "modelId": name, "sha": commit, "private": model.private, "siblings": siblings})
            return
        rows = [*_folders(model), *(self._entry(model, path) for path in model.files)]
        start = int(query.get("cursor", "0"))
        more = {}
        if start + self.hub.page < len(rows):
            after = urllib.parse.urlencode({**query, "cursor": start + self.hub.page})
            more["Link"] = f'<{self.hub.url}{urllib.parse.urlsplit(self.path).path}?{after}>; rel="next"'
        self._json(rows[start : start + self.hub.page], more)

    def _entry(self, model: Model, path: str) -> dict[str, Any]:
        content = model.files[path]
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}
        if len(content) >= LFS_FROM:
            oid = sha256(content)
            entry["oid"] = hashlib.sha1(oid.encode()).hexdigest()
            entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 134}
        return {**entry, **model.told.get(path, {})}

    def _resolve(self, name: str, revision: str, path: str) -> None:
        model = self._seen(name)
        commit = self._commit(model, revision)
        if model.gated and name not in self._opened():
            raise _Refusal(403 if self._token() else 401, "GatedRepo", f"Access to model {name} is restricted.")
        if path not in model.files:
            raise _Refusal(404, "EntryNotFound", "Entry not found")
        content = model.files[path]
        if len(content) < LFS_FROM:
            self._file(path, model, {"ETag": f'"{git_hash(content)}"', "X-Repo-Commit": commit})
            return
        linked = {
            "Location": f"{self.hub.cdn}/cdn/{name}/{urllib.parse.quote(path)}?signature=x",
            "X-Linked-Size": str(len(content)),
            "X-Linked-ETag": f'"{sha256(content)}"',
            "X-Repo-Commit": commit,
        }
        self._send(302, b"", linked)

    def _commit(self, model: Model, revision: str) -> str:
        if revision in model.revisions.values():
            return revision
        if revision not in model.revisions:
            raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return model.revisions[revision]

    # --- ModelScope --------------------------------------------------------------------------------

    def _modelscope(self, name: str, words: list[str], query: dict[str, str]) -> None:
        model = self._seen(name)
        branch = query.get("Revision", "master")
        known = {"master" if name == "main" else name for name in model.revisions}
        if words == ["revisions"]:
            branches = [{"Revision": name, "CreatedAt": 1} for name in sorted(known)]
            self._json({"Code": 200, "Success": True, "Data": {"RevisionMap": {"Branches": branches, "Tags": []}}})
        elif branch not in known:
            raise _Refusal(404, "", "revision not found")
        elif words == ["repo"]:
            if query["FilePath"] not in model.files:
                raise _Refusal(404, "", "file not found")
            self._file(query["FilePath"], model)
        elif words == ["repo", "files"]:
            self._json({"Code": 200, "Success": True, "Data": {"Files": self._tree(model, query)}})
        else:
            self._json({"Code": 200, "Success": True, "Data": {"Name": name, "Path": name.partition("/")[0]}})

    def _tree(self, model: Model, query: dict[str, str]) -> list[dict[str, Any]]:
        root = query.get("Root", "").strip("/")
        rows = [{"Type": "tree", "Path": row["path"], "Size": 0} for row in _folders(model)]
        for path, content in model.files.items():
            row = {"Type": "blob", "Path": path, "Size": len(content), "Sha256": sha256(content)}
            rows.append({**row, "IsLFS": len(content) >= LFS_FROM, **model.told.get(path, {})})
        within = [row for row in rows if not root or row["Path"].startswith(root + "/")]
        if query.get("Recursive", "").lower() != "true":
            depth = root.count("/") + 1 if root else 0
            within = [row for row in within if row["Path"].count("/") == depth]
        return within[: self.hub.most]

    # --- both --------------------------------------------------------------------------------------

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _opened(self) -> set[str]:
        return self.hub.tokens.get(self._token(), set())

    def _seen(self, name: str) -> Model:
        if self._token() and self._token() not in self.hub.tokens:
            raise _Refusal(401, "", "Invalid credentials in Authorization header")
        model = self.hub.models.get(name)
        if model is None or (model.private and name not in self._opened()):
            raise _Refusal(404 if self._token() else 401, "RepoNotFound", "Repository not found")
        return model

    def _refuse(self, refusal: _Refusal, *, is_modelscope: bool) -> None:
        if is_modelscope:
            status = 404 if refusal.code == "RepoNotFound" else refusal.status
            told = {"Code": 10010205001, "Message": refusal.message, "Success": False}
            self._send(status, json.dumps(told).encode(), {"Content-Type": "application/json"})
            return
        headers = {"X-Error-Code": refusal.code} if refusal.code else {}
        body = json.dumps({"error": refusal.message}).encode()
        self._send(refusal.status, body, {**headers, "X-Error-Message": refusal.message})

    def _json(self, value: Any, more: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8", **(more or {})})

    def _file(self, path: str, model: Model, more: dict[str, str] | None = None) -> None:
        content = model.files[path]
        start, end, status = 0, len(content), 200
        asked = self.headers.get("Range", "")
        if asked and self.hub.ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end, status = int(first), int(last) + 1 if last else len(content), 206
            if start >= len(content):
                self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **(more or {})}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        self._send(status, content[start:end], headers, path)

    def _send(self, status: int, body: bytes, headers: dict[str, str], path: str = "") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        view = memoryview(body)[: self._cut if self._cut >= 0 else None]
        with suppress(OSError):
            while view:
                self.wfile.write(view[:_CHUNK])
                self.hub.count(path, len(view[:_CHUNK]))
                if self.hub.rate:
                    time.sleep(len(view[:_CHUNK]) / self.hub.rate)
                view = view[_CHUNK:]
        if self._cut >= 0:
            self.close_connection = True


def _folders(model: Model) -> list[dict[str, Any]]:
    names = {path[:at] for path in model.files for at, letter in enumerate(path) if letter == "/"}
    return [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in sorted(names)]
