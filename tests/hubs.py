"""Fetching from the stand-in hub: models small enough for a test, and what has become of them."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from r1fleet.events import Event, Note
from r1fleet.local.session import LocalSession
from r1fleet.weights import MANIFEST, SealedFile
from r1fleet.weights.sources import Fetched, Hub, Listing, Pace, Request, Source, fetch, listing
from tests.standins.hub import StandInHub

MODEL = "org/model"
PACE = Pace(workers=2, attempts=3, pause=0.01, silence=5.0)


def shard(size: int, seed: int = 1) -> bytes:
    """Return a safetensors file with one tensor of ``size`` bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    block = hashlib.sha256(bytes([seed])).digest()
    return struct.pack("<Q", len(header)) + header + (block * (size // 32 + 1))[:size]


def index(*shards: str) -> bytes:
    """Return the index of a model in shards."""
    return json.dumps({"weight_map": {f"w{number}": name for number, name in enumerate(shards)}}).encode()


def tiny() -> dict[str, bytes]:
    """Return a model of two shards with its small files."""
    one, two = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    return {
        "config.json": b'{"model_type": "qwen2"}',
        "docs/über uns.md": b"hello",
        "empty": b"",
        "model.safetensors.index.json": index(one, two),
        one: shard(300_000, 1),
        two: shard(200_000, 2),
    }


@dataclass
class Fetching:
    """One hub, one staging folder, and what has been told."""

    session: LocalSession
    hub: StandInHub
    staging: Path
    pace: Pace = PACE
    events: list[Event] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    on_file: Callable[[SealedFile], None] = lambda file: None

    @property
    def hugging_face(self) -> Hub:
        """The hub in Hugging Face's words."""
        return Hub("HF", "huggingface", self.hub.url)

    @property
    def modelscope(self) -> Hub:
        """The same hub in ModelScope's words; by another name of this machine, so that it counts as another."""
        return Hub("MS", "modelscope", self.hub.url.replace("127.0.0.1", "localhost"))

    @property
    def notes(self) -> list[str]:
        """What was told to the reader."""
        return [event.text for event in self.events if isinstance(event, Note)]

    def look(self, *hubs: Hub, revision: str = "main") -> Listing:
        """List the model at the hubs given, or at the one in Hugging Face's words."""
        return listing(self.session, Source(hubs=hubs or (self.hugging_face,)), MODEL, revision, pace=self.pace)

    def fetch(self, *hubs: Hub, listed: Listing | None = None, source: Source | None = None) -> Fetched:
        """List and fetch."""
        source = source or Source(hubs=hubs or (self.hugging_face,))
        listed = listed or listing(self.session, source, MODEL, "main", pace=self.pace)
        request = Request(source, listed, str(self.staging), self.pace)
        return fetch(self.session, request, self.events.append, on_file=self._note)

    def held(self) -> dict[str, bytes]:
        """Return all files of the staging folder but the manifest and what is not complete."""
        paths = [path for path in self.staging.rglob("*") if path.is_file() and path.name != MANIFEST]
        named = {str(path.relative_to(self.staging)): path for path in paths}
        return {name: path.read_bytes() for name, path in named.items() if not name.startswith(".r1fleet-fetch")}

    def asked(self, within: str) -> list[str]:
        """Return the requests whose address contains a text."""
        return [url for url, _ in self.hub.asked if within in url]

    def _note(self, file: SealedFile) -> None:
        content = (self.staging / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
        self.files.append(file.path)
        self.on_file(file)
