"""Where weights come from, as ``--from`` says it: a chain of hubs, a folder, or hubs and a folder of big files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from r1fleet.errors import UsageError

HUGGING_FACE, MODELSCOPE = "huggingface", "modelscope"


@dataclass(frozen=True, slots=True)
class Hub:
    """A place that serves models over HTTP; ``kind`` says in whose words it speaks.

    ``trusted`` says whether the user's token may be shown to it: a mirror gets none unless the user chose it.
    """

    name: str
    kind: str
    endpoint: str
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """Hubs, tried in this order, or a ``folder``; with ``drop``, big files come from there and the rest from hubs.

    A ``folder`` is a plain one, the cache of huggingface_hub, or a snapshot in it; it lies where the fetching runs.
    """

    hubs: tuple[Hub, ...] = ()
    folder: str = ""
    drop: str = ""

    @property
    def place(self) -> str:
        """The folder that plays a part; empty where none does."""
        return self.folder or self.drop

    def __str__(self) -> str:
        """Name the source as a person would."""
        hubs = " -> ".join(hub.name for hub in self.hubs)
        return self.folder or (f"{self.drop} and {hubs}" if self.drop else hubs)


HUBS = {
    "hf": Hub("Hugging Face", HUGGING_FACE, "https://huggingface.co"),
    "hf-mirror": Hub("hf-mirror", HUGGING_FACE, "https://hf-mirror.com", trusted=False),
    "modelscope": Hub("ModelScope", MODELSCOPE, "https://www.modelscope.cn"),
}
"""All hubs that have a name, in the order in which they are tried; the one place where their addresses stand."""

ENDPOINTS = {HUGGING_FACE: ("HF_ENDPOINT",), MODELSCOPE: ("MODELSCOPE_ENDPOINT",)}
"""The variables in which users of the hubs' own tools name another address."""

_HINT = "write one of: hf, hf-mirror, modelscope, the URL of a mirror, cache, a path, or drop:PATH"


def parse_source(text: str | None, environ: Mapping[str, str] = os.environ) -> Source:
    """Read what ``--from`` says; nothing stands for all hubs, one after the other."""
    text = (text or "").strip()
    if not text:
        return Source(hubs=_chain(environ))
    kind, colon, rest = text.partition(":")
    if colon and kind == "drop":
        return Source(hubs=_chain(environ), drop=_path(rest, text))
    if colon and kind in ("dir", "cache"):
        return Source(folder=_path(rest, text))
    if text == "cache":
        return Source(folder=hub_cache(environ))
    if "/" in text and "://" not in text and not kind.startswith("modelscope"):
        return Source(folder=_path(text, text))
    return Source(hubs=tuple(_hub(word.strip(), environ) for word in text.split(",")))


def hub_cache(environ: Mapping[str, str] = os.environ) -> str:
    """Return where huggingface_hub keeps what it has downloaded."""
    home = environ.get("HF_HOME") or f"{environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"


def _chain(environ: Mapping[str, str]) -> tuple[Hub, ...]:
    """Return all hubs; where the environment makes one hub stand for another, that one is asked once."""
    chain: dict[str, Hub] = {}
    for name in HUBS:
        hub = _named(name, environ)
        chain.setdefault(hub.endpoint, hub)
    return tuple(chain.values())


def _hub(word: str, environ: Mapping[str, str]) -> Hub:
    kind, colon, address = word.partition("+")
    if "://" in word and (not colon or kind == MODELSCOPE):
        url = address if colon else word
        return Hub(_host(url), MODELSCOPE if colon else HUGGING_FACE, _endpoint(url, "--from"))
    if word not in HUBS:
        raise UsageError(f"--from names no source: {word!r}", hint=_HINT)
    hub = _named(word, environ)
    return Hub(hub.name, hub.kind, hub.endpoint)  # who names a hub trusts it


def _named(name: str, environ: Mapping[str, str]) -> Hub:
    """Return a hub of the table, at the address that the environment gives it."""
    hub = HUBS[name]
    for variable in ENDPOINTS[hub.kind] if name in ("hf", "modelscope") else ():
        given = environ.get(variable, "").strip()
        if given and _endpoint(given, variable) != hub.endpoint:
            known = [one for one in HUBS.values() if one.endpoint == _endpoint(given, variable)]
            return Hub(known[0].name if known else _host(given), hub.kind, _endpoint(given, variable))
    return hub


def _endpoint(url: str, where: str) -> str:
    if "://" not in url:
        url = f"https://{url}"
    scheme, _, rest = url.partition("://")
    if "@" in rest.partition("/")[0]:
        raise UsageError(
            f"{where} carries a password in its address",
            hint="put the token into HF_TOKEN or into the hub's token file",
        )
    if scheme not in ("http", "https") or not rest.strip("/"):
        raise UsageError(f"{where} is no address of a hub: {url}", hint="write it as https://hub.example")
    return url.rstrip("/")


def _host(url: str) -> str:
    return url.rpartition("://")[2].partition("/")[0]


def _path(path: str, text: str) -> str:
    if not path.strip():
        raise UsageError(f"--from {text} names no path", hint=_HINT)
    return path.strip()
