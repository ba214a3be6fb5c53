"""Serves a folder over HTTP on the lab's own network, and knows what was asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Served:
    """A folder that is being served."""

    url: str
    folder: Path
    asked: list[str] = field(default_factory=list)


@contextmanager
def serve(folder: Path, address: str) -> Iterator[Served]:
    """Serve ``folder`` on a free port of ``address`` until the block ends."""
    asked: list[str] = []
    handler = partial(_Handler, asked, directory=str(folder))
    with ThreadingHTTPServer((address, 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield Served(f"http://{address}:{server.server_port}", folder, asked)
        finally:
            server.shutdown()


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, asked: list[str], *rest: Any, **more: Any) -> None:
        self._asked = asked
        super().__init__(*rest, **more)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self._asked.append(self.path)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""
