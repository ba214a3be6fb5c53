"""Where this machine gets its packages from: read at run time, never written down."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from r1fleet.command import cmd
from r1fleet.errors import LabError
from r1fleet.lab.shell import run

APT = Path("/etc/apt")
_OPTIONS_KEPT = ("Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::Languages::")
_PIP_KEYS = ("index-url", "extra-index-url", "find-links")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>(?:\s+\S+)*)")
_PIP_DEFAULT = (
    "from pip._internal.models.index import PyPI; print(PyPI.url); print('https://' + PyPI.file_storage_domain)"
)


@dataclass(frozen=True, slots=True)
class Source:
    """One stanza of apt sources, in deb822's terms."""

    fields: Mapping[str, str]

    def words(self, field: str) -> list[str]:
        """Return a field's words; field names know no case."""
        return self.fields.get(field.lower(), "").split()

    def render(self) -> str:
        """Write the stanza as deb822 text."""
        spelled = {name: "URIs" if name == "uris" else name.title() for name in self.fields}
        return "".join(f"{spelled[name]}: {value}\n" for name, value in self.fields.items())


def codename() -> str:
    """Return the machine's own release, such as bookworm."""
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "VERSION_CODENAME":
            return value.strip('"')
    raise LabError("/etc/os-release has no VERSION_CODENAME", hint="the lab needs a released Debian or Ubuntu")


def machine_sources(apt: Path = APT) -> tuple[Source, ...]:
    """Return the machine's apt sources of its own release over http or https; LabError if there is none."""
    release = codename()
    kept = [trimmed for source in _all_sources(apt) if (trimmed := _trim(source, release))]
    if not any("main" in source.words("components") and release in source.words("suites") for source in kept):
        raise LabError(
            f"this machine's apt sources hold no {release} main over http or https",
            hint=f"add your distribution's archive under {apt}/sources.list.d",
        )
    return tuple(kept)


def keyrings(sources: tuple[Source, ...], apt: Path = APT) -> tuple[Path, ...]:
    """Return the files whose keys sign ``sources``."""
    named = {Path(word) for source in sources for word in source.words("signed-by") if word.startswith("/")}
    shared = [path for path in (apt / "trusted.gpg.d").glob("*") if path.suffix in (".gpg", ".asc")]
    return tuple(sorted(path for path in {*named, *shared} if path.is_file()))


def apt_options() -> dict[str, str]:
    """Return the machine's apt settings that its sources may need, and its proxy."""
    options: dict[str, str] = {}
    for line in run(cmd("apt-config", "dump")).splitlines():
        name, _, value = line.partition(" ")
        if name in _OPTIONS_KEPT:
            options[name] = value.strip('"; ')
    return options


def apt_proxy() -> str:
    """Return the proxy that the machine itself needs for packages, or nothing."""
    from_apt = run(cmd("apt-config", "shell", "proxy", "Acquire::http::Proxy")).strip()
    value = from_apt.partition("=")[2].strip("'")
    if value and value != "DIRECT":
        return value
    return os.environ.get("http_proxy") or os.environ.get("HTTP_PROXY") or ""


def package_urls(sources: tuple[Source, ...]) -> tuple[str, ...]:
    """Return every URL from which this machine's apt and pip take packages."""
    apt = [uri for source in sources for uri in source.words("uris")]
    return tuple(sorted({*apt, *_pip_urls()}))


def _pip_urls() -> Iterator[str]:
    """Yield pip's configured indexes; pip's own default where none is configured; nothing without pip."""
    settings = dict(_pip_settings())
    for key in _PIP_KEYS:
        for url in settings.get(key, "").split():
            if urlsplit(url).scheme in ("http", "https"):
                yield url
    if "index-url" not in settings:
        yield from _python("-c", _PIP_DEFAULT)


def _pip_settings() -> Iterator[tuple[str, str]]:
    for line in _python("-m", "pip", "config", "list"):
        name, _, value = line.partition("=")
        yield name.rpartition(".")[2], value.strip("'\"").replace("\\n", " ")
    for key in _PIP_KEYS:
        from_environment = os.environ.get("PIP_" + key.upper().replace("-", "_"))
        if from_environment:
            yield key, from_environment


def _python(*words: str) -> list[str]:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def _all_sources(apt: Path) -> Iterator[Source]:
    folder = apt / "sources.list.d"
    for path in [apt / "sources.list", *sorted(folder.glob("*.list"))]:
        if path.is_file():
            yield from parse_one_line(path.read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*.sources")):
        yield from parse_deb822(path.read_text(encoding="utf-8"))


def parse_one_line(text: str) -> Iterator[Source]:
    """Read sources in the one-line style."""
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if not match:
            continue
        options = dict(pair.split("=", 1) for pair in (match["options"] or "").split() if "=" in pair)
        renamed = {"arch": "architectures", "lang": "languages"}
        extra = {renamed.get(name, name): value.replace(",", " ") for name, value in options.items()}
        yield Source(
            {"types": "deb", "uris": match["uri"], "suites": match["suite"], "components": match["components"].strip()}
            | extra
        )


def parse_deb822(text: str) -> Iterator[Source]:
    """Read sources in the deb822 style."""
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and name:
                fields[name] += "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            yield Source(fields)


def _trim(source: Source, release: str) -> Source | None:
    """Keep what the release's own suites offer over the network."""
    suites = [word for word in source.words("suites") if word == release or word.startswith(f"{release}-")]
    uris = [uri for word in source.words("uris") for uri in _mirrors(word) if uri.startswith(("http://", "https://"))]
    if not suites or not uris or not source.words("components"):
        return None
    return Source({**source.fields, "types": "deb", "suites": " ".join(suites), "uris": " ".join(uris)})


def _mirrors(uri: str) -> list[str]:
    """Follow a ``mirror+file:`` list, as cloud images have."""
    if not uri.startswith("mirror+file:"):
        return [uri]
    path = Path(urlsplit(uri.removeprefix("mirror+")).path)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [words[0] for line in lines if (words := line.partition("#")[0].split())]
