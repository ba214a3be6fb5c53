"""A stand-in for Docker's own repository: real names, versions and relations; the daemon only waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.standins.aptrepo import Signer, write_dists
from tests.standins.deb import DAEMON, Deb

VERSIONS = ("29.7.1", "29.8.0")
_CLIENT = (Path(__file__).parent / "docker_client.sh").read_text()


def write_repository(folder: Path, signer: Signer, distribution: str, release: str, codename: str) -> None:
    """Write ``gpg`` and ``dists/CODENAME/stable`` below the distribution; a ``release`` is ``ubuntu.24.04``."""
    root = folder / distribution
    write_dists(root, _packages(f"1~{release}~{codename}"), signer, codename, "stable")
    (root / "gpg").write_bytes(signer.armored)


def _packages(revision: str) -> Iterator[Deb]:
    for version in VERSIONS:
        full = f"5:{version}-{revision}"
        unit = DAEMON.format(name="docker", command="/bin/sleep infinity")
        yield Deb(
            "docker-ce",
            full,
            {"Depends": "containerd.io, docker-ce-cli", "Conflicts": "docker, docker.io", "Replaces": "docker.io"},
            files={"/lib/systemd/system/docker.service": unit},
        )
        yield Deb("docker-ce-cli", full, {"Conflicts": "docker.io"}, programs={"/usr/bin/docker": _CLIENT})
    yield Deb("containerd.io", f"2.1.5-{revision}", {"Conflicts": "containerd, runc", "Provides": "containerd, runc"})
    yield Deb("docker-buildx-plugin", f"0.30.1-{revision}")
    yield Deb("docker-compose-plugin", f"5.0.2-{revision}")
