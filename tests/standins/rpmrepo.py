"""Describes an rpm repository, and builds it for real: packages, signatures, module streams, groups, advisories.

The host that builds it needs rpmbuild, rpmsign, createrepo_c, modifyrepo_c and gpg: see ``rpmhost.dress``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

KEY = "RPM-GPG-KEY-standin"
SIGNER = "Stand-in <standin@example.test>"
_NEW_KEY = "gpg --batch --quiet --passphrase '' --quick-generate-key"


@dataclass(frozen=True, slots=True)
class Rpm:
    """One package; ``stream`` ("nvidia-driver:570-open") puts it into a module, ``files`` are path and content."""

    name: str
    version: str
    release: str = "1.el9"
    epoch: int = 0
    arch: str = "noarch"
    requires: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    obsoletes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    post: str = ""
    stream: str = ""
    signed: bool = True

    @property
    def nevra(self) -> str:
        """The full name, with the epoch even where it is 0, as module metadata wants it."""
        return f"{self.name}-{self.epoch}:{self.version}-{self.release}.{self.arch}"

    @property
    def spec(self) -> str:
        """The text that rpmbuild reads."""
        relations = {
            "Requires": self.requires,
            "Recommends": self.recommends,
            "Provides": self.provides,
            "Conflicts": self.conflicts,
            "Obsoletes": self.obsoletes,
        }
        lines = [
            f"Name: {self.name}",
            f"Version: {self.version}",
            f"Release: {self.release}",
            f"Summary: Stand-in for {self.name}",
            "License: none",
            "AutoReqProv: no",
            *([f"Epoch: {self.epoch}"] if self.epoch else []),
            *([f"BuildArch: {self.arch}"] if self.arch == "noarch" else []),
            *([f"ModularityLabel: {self.stream}:1:standin"] if self.stream else []),
            *(f"{word}: {entry}" for word, entries in relations.items() for entry in entries),
            "%description\nStands in for a package of that name.",
            "%install",
            "mkdir -p %{buildroot}",
            *(_writing(path, content) for path, content in self.files.items()),
            *([f"%post\n{self.post}"] if self.post else []),
            "%files",
            *self.files,
        ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Stream:
    """A module's stream; ``profiles`` name the packages that each installs."""

    module: str
    stream: str
    profiles: Mapping[str, tuple[str, ...]]
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A package group, as comps.xml has it."""

    key: str
    name: str
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advisory:
    """What tells that the update to ``package`` is a matter of ``kind``: security or bugfix."""

    key: str
    kind: str
    package: Rpm


@dataclass(frozen=True, slots=True)
class Repository:
    """All that one repository offers."""

    key: str
    rpms: tuple[Rpm, ...]
    streams: tuple[Stream, ...] = ()
    groups: tuple[Group, ...] = ()
    advisories: tuple[Advisory, ...] = ()

    def repo_file(self, url: str, *, key_url: str, options: Mapping[str, str] | None = None) -> str:
        """Return what stands in /etc/yum.repos.d for it."""
        values = {"name": f"Stand-in {self.key}", "baseurl": url, "enabled": "1", "gpgcheck": "1", "gpgkey": key_url}
        return f"[{self.key}]\n" + "".join(f"{name}={value}\n" for name, value in {**values, **(options or {})}.items())

    def sources(self) -> dict[str, str]:
        """Return the files to build it from, by name."""
        specs = {f"{'signed' if rpm.signed else 'bare'}/{rpm.nevra}.spec": rpm.spec for rpm in self.rpms}
        return {**specs, "comps.xml": self._comps(), "modules.yaml": self._modules(), "updateinfo.xml": self._advice()}

    def script(self, sources: str, target: str, keyring: str) -> str:
        """Return the shell script that builds it in the folder ``target`` and puts the public key beside it."""
        metadata = [
            *([f"modifyrepo_c --mdtype=modules {sources}/modules.yaml {target}/repodata"] if self.streams else []),
            *([f"modifyrepo_c {sources}/updateinfo.xml {target}/repodata"] if self.advisories else []),
        ]
        comps = f"--groupfile {sources}/comps.xml" if self.groups else ""
        lines = [
            "set -e",
            f"export GNUPGHOME={keyring}",
            f"mkdir -p -m 700 {keyring}; rm -rf {target}; mkdir -p {target}",
            f"gpg --list-keys '{SIGNER}' >/dev/null 2>&1 || {_NEW_KEY} '{SIGNER}' rsa2048 sign never",
            f"gpg --armor --export '{SIGNER}' > {target}/{KEY}",
            *(self._building(sources, target, kind) for kind in ("bare", "signed")),
            f"createrepo_c --quiet --no-database {comps} {target}",
            *metadata,
        ]
        return "\n".join(lines) + "\n"

    def _building(self, sources: str, target: str, kind: str) -> str:
        if not any(rpm.signed is (kind == "signed") for rpm in self.rpms):
            return ""
        built = f"{sources}/built-{kind}"
        build = f"rpmbuild --quiet -bb --define '_topdir {sources}/work' --define '_rpmdir {built}'"
        signing = f"rpmsign --addsign {built}/*/*.rpm >/dev/null" if kind == "signed" else ""
        return f"{build} {sources}/{kind}/*.spec\n{signing}\nmv {built}/*/*.rpm {target}/"

    def _modules(self) -> str:
        documents: list[dict[str, object]] = []
        for stream in self.streams:
            label = f"{stream.module}:{stream.stream}"
            data = {
                "name": stream.module,
                "stream": stream.stream,
                "version": 1,
                "context": "standin",
                "arch": "x86_64",
                "summary": label,
                "description": label,
                "license": {"module": ["none"]},
                "profiles": {name: {"rpms": list(rpms)} for name, rpms in stream.profiles.items()},
                "artifacts": {"rpms": [rpm.nevra for rpm in self.rpms if rpm.stream == label]},
            }
            documents.append({"document": "modulemd", "version": 2, "data": data})
        for module in sorted({stream.module for stream in self.streams}):
            own = [stream for stream in self.streams if stream.module == module]
            chosen: dict[str, object] = {"module": module, "profiles": {stream.stream: ["default"] for stream in own}}
            if default := next((stream.stream for stream in own if stream.is_default), ""):
                chosen["stream"] = default
            documents.append({"document": "modulemd-defaults", "version": 1, "data": chosen})
        return "".join(f"---\n{json.dumps(document)}\n...\n" for document in documents)

    def _comps(self) -> str:
        groups = "".join(
            f"<group><id>{group.key}</id><name>{escape(group.name)}</name><default>false</default>"
            "<uservisible>true</uservisible><packagelist>"
            + "".join(f'<packagereq type="mandatory">{name}</packagereq>' for name in group.packages)
            + "</packagelist></group>"
            for group in self.groups
        )
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<comps>{groups}</comps>\n'

    def _advice(self) -> str:
        updates = "".join(
            f'<update from="standin" status="final" type="{each.kind}" version="1"><id>{each.key}</id>'
            f'<title>{each.key}</title><issued date="2026-01-01 00:00:00"/><severity>Important</severity>'
            '<pkglist><collection short="standin"><name>standin</name>'
            f'<package name="{each.package.name}" version="{each.package.version}" release="{each.package.release}" '
            f'epoch="{each.package.epoch}" arch="{each.package.arch}"><filename>'
            f"{each.package.name}-{each.package.version}-{each.package.release}.{each.package.arch}.rpm"
            "</filename></package></collection></pkglist></update>"
            for each in self.advisories
        )
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<updates>{updates}</updates>\n'


def _writing(path: str, content: str) -> str:
    target = f"%{{buildroot}}{path}"
    return f"mkdir -p $(dirname {target})\ncat > {target} <<'END_OF_FILE'\n{content}\nEND_OF_FILE"
