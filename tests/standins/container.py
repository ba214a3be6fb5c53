"""Stand-ins for NVIDIA's container toolkit and for the engines it is configured for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.standins.aptrepo import Signer, write_flat
from tests.standins.deb import DAEMON, Deb

VERSIONS = ("1.17.8", "1.18.2", "1.19.1", "1.20.0")
_HERE = Path(__file__).parent
_REFRESH = """\
[Unit]
Description=stand-in for nvidia-cdi-refresh
[Service]
Type=oneshot
ExecStart=/usr/bin/nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml
"""
_WATCH = """\
[Unit]
Description=stand-in for nvidia-cdi-refresh
[Path]
PathChanged=/lib/modules/stand-in
[Install]
WantedBy=multi-user.target
"""


def write_repository(folder: Path, signer: Signer) -> None:
    """Write ``gpgkey`` and ``stable/deb/amd64``."""
    write_flat(folder / "stable/deb/amd64", [deb for version in VERSIONS for deb in toolkit(version)], signer)
    (folder / "gpgkey").write_bytes(signer.armored)


def toolkit(version: str) -> Iterator[Deb]:
    """Yield the four packages of one version; some of their relations take any newer one as well."""
    full = f"{version}-1"
    refresh = {
        "/etc/systemd/system/nvidia-cdi-refresh.service": _REFRESH,
        "/etc/systemd/system/nvidia-cdi-refresh.path": _WATCH,
    }
    units = refresh if int(version.split(".")[1]) >= 18 else {}
    base = "nvidia-container-toolkit-base"
    ctk = (_HERE / "nvidia_ctk.py").read_text().replace("VERSION_OF_THE_STAND_IN", version)
    yield Deb("libnvidia-container1", full)
    yield Deb("libnvidia-container-tools", full, {"Depends": f"libnvidia-container1 (>= {full})"})
    yield Deb(base, full, files=units, programs={"/usr/bin/nvidia-ctk": ctk})
    needs = f"{base} (= {full}), libnvidia-container-tools (>= {full})"
    yield Deb("nvidia-container-toolkit", full, {"Depends": needs})


def engines() -> Iterator[Deb]:
    """Yield a docker whose client writes down what it was asked; its daemon and containerd only wait."""
    client = (_HERE / "docker_client.sh").read_text()
    rows: tuple[tuple[str, str, str, dict[str, str]], ...] = (
        ("docker-ce", "5:29.8.0-1", "docker", {"/usr/bin/docker": client}),
        ("containerd.io", "2.1.5-1", "containerd", {}),
    )
    for name, version, unit, programs in rows:
        text = DAEMON.format(name=unit, command="/bin/sleep infinity")
        yield Deb(name, version, files={f"/lib/systemd/system/{unit}.service": text}, programs=programs)
