"""The hosts' only way to packages: a proxy on the lab's side that knows the machine's own sources and no more."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from r1fleet.cache import write_atomic
from r1fleet.command import cmd
from r1fleet.errors import LabError
from r1fleet.lab.cgroups import Group, Tree
from r1fleet.lab.layout import PROXY_PORT, Lab
from r1fleet.lab.power import detach
from r1fleet.lab.sources import apt_proxy, machine_sources, package_urls


def proxy_group(tree: Tree, lab: Lab) -> Group:
    """Name the control group of the lab's proxy."""
    return tree.group(lab.cgroup, "proxy")


def ensure_proxy(tree: Tree, lab: Lab) -> None:
    """Start the proxy, or start it anew where the machine's sources have changed."""
    urls = [urlsplit(url) for url in package_urls(machine_sources())]
    changed = _write(lab, "proxy.filter", filter_text(urls))
    changed |= _write(lab, "proxy.conf", config_text(lab, urls, apt_proxy(), _no_proxy()))
    group = proxy_group(tree, lab)
    if group.pids():
        if not changed:
            return
        group.kill()
    group.make()
    detach(cmd("tinyproxy", "-d", "-c", str(lab.folder / "proxy.conf")), group, lab.folder / "proxy.log")
    _await_start(group, lab)


def filter_text(urls: list[SplitResult]) -> str:
    """Write tinyproxy's filter: exactly the hosts of ``urls``; everything else is refused."""
    hosts = sorted({url.hostname for url in urls if url.hostname})
    return "".join(f"^{re.escape(host)}$\n" for host in hosts)


def config_text(lab: Lab, urls: list[SplitResult], upstream: str, direct: list[str]) -> str:
    """Write tinyproxy's configuration."""
    ports = sorted({443, *(url.port for url in urls if url.port and url.scheme == "https")})
    lines = [
        "User nobody",
        "Group nogroup",
        f"Port {PROXY_PORT}",
        f"Listen {lab.gateway}",
        f"Allow {lab.prefix}",
        f"Allow {lab.gateway}",
        "Timeout 600",
        "MaxClients 400",
        "LogLevel Warning",
        f'Filter "{lab.folder / "proxy.filter"}"',
        "FilterDefaultDeny Yes",
        "FilterURLs Off",
        "DisableViaHeader Yes",
        *(f"ConnectPort {port}" for port in ports),
    ]
    if upstream:
        parts = urlsplit(upstream if "://" in upstream else f"http://{upstream}")
        account = parts.netloc.rpartition("@")[0]
        lines.append(f"Upstream http {account + '@' if account else ''}{parts.hostname}:{parts.port or 80}")
        lines += [f'Upstream none "{name}"' for name in direct]
    return "\n".join(lines) + "\n"


def _write(lab: Lab, name: str, text: str) -> bool:
    """Write one file of the proxy's and tell whether it changed; it may hold the upstream's password."""
    path = lab.folder / name
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_atomic(path, text, mode=0o600)
    return True


def _no_proxy() -> list[str]:
    words = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    return [word.strip() for word in words if word.strip() and word.strip() != "*"]


def _await_start(group: Group, lab: Lab) -> None:
    needle = f"{lab.gateway}:{PROXY_PORT}"
    deadline = time.monotonic() + 10
    while not _listens(lab):
        if time.monotonic() > deadline:
            log = (lab.folder / "proxy.log").read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
            state = "does not listen" if group.pids() else "has died"
            raise LabError(f"the package proxy on {needle} {state}: {' '.join(log)}")
        time.sleep(0.01)


def _listens(lab: Lab) -> bool:
    packed = bytes(int(part) for part in lab.gateway.split("."))[::-1].hex().upper()
    listening = f"{packed}:{PROXY_PORT:04X} 00000000:0000 0A"
    return listening in Path("/proc/net/tcp").read_text(encoding="ascii")
