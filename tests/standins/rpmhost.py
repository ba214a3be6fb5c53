"""Dresses a lab host as a RHEL-like one: Debian's root with Debian's dnf and rpm, and repositories made at that moment.

What is real there: dnf resolves, verifies signatures, pins and holds; rpm installs. What is not: the system's own
packages are Debian's, so the rpm database holds only what tests put there.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from r1fleet.cache import cache_dir, cache_lock
from r1fleet.lab import Lab
from r1fleet.lab.handout import proxy_env
from tests.standins.releases import FILES, RELEASES
from tests.standins.rpmrepo import KEY, Repository, Rpm

PACKAGES = ("createrepo-c", "dnf", "dnf-plugins-core", "rpm")
_MACROS = "%_dbpath /var/lib/rpm\n%dist .el9\n%__gpg /usr/bin/gpg\n%_gpg_name Stand-in\n%_build_id_links none\n"
_DNF_CONF = (
    "[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\nskip_if_unavailable=False\n"
)
# Plugins that a RHEL-like host does not have, or not by default.
_NOT_THERE = ("copr", "debuginfo-install", "local", "post-transaction-actions", "leaves", "show_leaves")
_SHELF = "/var/lib/standins"
_LIMIT = 240


@dataclass(frozen=True, slots=True)
class Published:
    """A repository in a folder of the host that uses it, and the fingerprint of the key that signed it."""

    folder: str
    fingerprint: str

    @property
    def url(self) -> str:
        """What goes into ``baseurl``."""
        return f"file://{self.folder}"

    @property
    def key_url(self) -> str:
        """What goes into ``gpgkey``."""
        return f"{self.url}/{KEY}"


def dress(lab: Lab, host: str, release: str = "rocky9") -> None:
    """Make a fresh lab host look like a distribution of ``RELEASES`` that has dnf."""
    _install(lab, host)
    disguise(lab, host, release)
    settings = {"etc/rpm/macros": _MACROS, "etc/dnf/dnf.conf": _DNF_CONF}
    settings |= {f"etc/dnf/plugins/{plugin}.conf": "[main]\nenabled=0\n" for plugin in _NOT_THERE}
    for path, text in settings.items():
        target = lab.host(host).root / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
    _run(lab, host, "mkdir -p /etc/yum.repos.d")
    base = publish(lab, host, Repository("baseos", (_release_package(release),)))
    _run(lab, host, f"rpm --import {base.folder}/{KEY} && rpm --install {base.folder}/*.rpm")


def disguise(lab: Lab, host: str, release: str) -> None:
    """Write what a distribution says about itself in place of what the host said."""
    etc = lab.host(host).root / "etc"
    for name in FILES | {"os-release"}:
        (etc / name).unlink(missing_ok=True)
    for name, text in RELEASES[release].items():
        (etc / name).write_text(text)


def publish(lab: Lab, host: str, repository: Repository) -> Published:
    """Build a repository on a dressed host; nothing is enabled yet."""
    sources, target = f"{_SHELF}/sources/{repository.key}", f"{_SHELF}/{repository.key}"
    root = lab.host(host).root
    for name, text in repository.sources().items():
        path = root / f"{sources}/{name}".lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    _run(lab, host, repository.script(sources, target, keyring=f"{_SHELF}/keyring"))
    return Published(
        target, _run(lab, host, f"gpg --show-keys --with-colons {target}/{KEY} | sed -n 's/^fpr:*\\([^:]*\\):/\\1/p'")
    )


def _install(lab: Lab, host: str) -> None:
    """Install dnf and rpm; what was downloaded once is kept in the cache."""
    archives, kept = lab.host(host).root / "var/cache/apt/archives", cache_dir("standins", "debs")
    quick = "-o Dpkg::Options::=--force-unsafe-io --no-install-recommends"
    proxy = " ".join(f"{name}={value}" for name, value in proxy_env(lab).items())
    apt = f"env DEBIAN_FRONTEND=noninteractive {proxy} apt-get"
    with cache_lock("standins"):
        for path in kept.glob("*.deb"):
            shutil.copy(path, archives)
        _run(lab, host, f"{apt} update -qq && {apt} install -y -qq {quick} {' '.join(PACKAGES)} >/dev/null")
        for path in archives.glob("*.deb"):
            if not (kept / path.name).exists():
                shutil.copy(path, kept)


def _release_package(release: str) -> Rpm:
    """Build what tells dnf its $releasever."""
    fields = dict(line.split("=", 1) for line in RELEASES[release]["os-release"].splitlines())
    version = fields["VERSION_ID"].strip('"')
    provides = (f"system-release(releasever) = {version.split('.')[0]}", f"system-release = {version}")
    return Rpm(f"{fields['ID'].strip(chr(34))}-release", version, provides=provides)


def _run(lab: Lab, host: str, script: str) -> str:
    argv = lab.ssh(host, "sudo", "-n", "sh", "-s").argv
    done = subprocess.run(argv, input=script, capture_output=True, text=True, timeout=_LIMIT, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()
