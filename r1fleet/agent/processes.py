"""Read processes, cgroups and sockets from /proc; never connects to anything."""

from __future__ import annotations

import os
import re

UNIT = "R1FLEET_UNIT"
"""The variable by which an entry script marks all that it starts."""

LISTEN = "0A"
ESTABLISHED = "01"
PAGE = os.sysconf("SC_PAGE_SIZE")
_SERVICE = re.compile(rb"/(r1fleet-[A-Za-z0-9_.-]+)\.service(?:/|$)", re.MULTILINE)
_BOX = re.compile(rb"/(?:docker/|docker-|cri-containerd-)([0-9a-f]{64})")
_EXECUTED = re.compile(rb"(?:^|\0)SYSTEMD_EXEC_PID=(\d+)(?:\0|$)")
_MARK = re.compile(rb"(?:^|\0)R1FLEET_UNIT=(r1fleet-[A-Za-z0-9_.-]+)(?:\0|$)")


def all_pids() -> list[int]:
    """List every process of this host."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def command_of(pid: int) -> str:
    """Tell a process's command line, shortened; empty when it is gone."""
    words = _read("/proc/%d/cmdline" % pid).replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return words[:200] or _read("/proc/%d/comm" % pid).decode("utf-8", "replace").strip()


def owners() -> dict[int, set[str]]:
    """Map each process to the names of r1fleet's own that it belongs to.

    A service's processes are in its cgroup. Those of containers and of sessions carry the name in their environment, or
    come from one that does: engines that write their own titles write over their environment.
    """
    found: dict[int, set[str]] = {}
    boxes: dict[int, bytes] = {}
    marked: dict[int, str] = {}
    for pid in all_pids():
        group = _read("/proc/%d/cgroup" % pid)
        names = {name.decode() for name in _SERVICE.findall(group)}
        box = _BOX.search(group)
        if box:
            boxes[pid] = box.group(1)
        mark = _MARK.search(_read("/proc/%d/environ" % pid))
        if mark and not names:
            marked[pid] = mark.group(1).decode()
        if mark:
            names.add(mark.group(1).decode())
        if names:
            found[pid] = names
    tree = _children() if marked else {}
    for pid, name in marked.items():
        same = [other for other, box in boxes.items() if box == boxes.get(pid)] if _is_first(pid) else []
        for other in same or _below(tree, pid):
            found.setdefault(other, set()).add(name)
    return found


def descendants(root: int) -> list[int]:
    """List the children of a process, theirs, and so on; not those that have ended."""
    return _below(_children(), root)


def fields_of(pid: int) -> list[str]:
    """Return what stands behind the name in /proc/PID/stat: state, parent, group, session ...; empty when gone."""
    return _read("/proc/%d/stat" % pid).decode("utf-8", "replace").rpartition(")")[2].split()


def start_of(pid: int) -> str:
    """Tell when a process started, in ticks since the boot: with its number that is unique for one boot."""
    fields = fields_of(pid)
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""


def boot_id() -> str:
    """Return what is another after every boot."""
    return _read("/proc/sys/kernel/random/boot_id").decode("ascii", "replace").strip()


def members(owners: dict[int, set[str]], unit: str) -> list[int]:
    """Pick the processes that belong to a name."""
    return sorted(pid for pid, names in owners.items() if unit in names)


def main_of(pids: list[int], service: str) -> int:
    """Return a service's own process while it lives; 0 where that cannot be told from here.

    From version 248 on, systemd tells each process of a service which one it has executed.
    """
    for pid in pids:
        told = _EXECUTED.search(_read("/proc/%d/environ" % pid))
        main = int(told.group(1)) if told else 0
        if main in pids and _is_main(main, service):
            return main
    return 0


def resident(pids: list[int]) -> int:
    """Sum the resident memory of processes, in bytes; shared pages count once per process."""
    total = 0
    for pid in pids:
        fields = _read("/proc/%d/statm" % pid).split()
        if len(fields) > 1:
            total += int(fields[1]) * PAGE
    return total


def oldest(pids: list[int]) -> float:
    """Tell for how many seconds the oldest of ``pids`` has been running; 0 when there is none."""
    ticks = os.sysconf("SC_CLK_TCK")
    up = float((_read("/proc/uptime").split() or [b"0"])[0])
    ages = [0.0]
    for pid in pids:
        fields = _read("/proc/%d/stat" % pid).rsplit(b")", 1)[-1].split()
        if len(fields) > 19:
            ages.append(up - int(fields[19]) / ticks)
    return round(max(ages), 1)


def listeners(ports: list[int]) -> dict[int, list[int]]:
    """Map each of ``ports`` that something listens on to the pids that hold it (empty when not visible)."""
    inodes: dict[str, int] = {}
    taken: dict[int, list[int]] = {}
    for row in _sockets():
        port = int(row[1].rsplit(":", 1)[1], 16)
        if row[3] == LISTEN and port in ports:
            inodes[row[9]] = port
            taken.setdefault(port, [])
    for pid, inode in _owners(set(inodes)):
        holders = taken[inodes[inode]]
        if pid not in holders:
            holders.append(pid)
    return taken


def all_listeners() -> list[dict[str, object]]:
    """Tell every TCP port that something listens on: address, port, and the first process that holds it, if seen."""
    rows = {row[9]: row[1].rsplit(":", 1) for row in _sockets() if row[3] == LISTEN}
    pids: dict[str, int] = {}
    for pid, inode in _owners(set(rows)):
        pids.setdefault(inode, pid)
    found: list[dict[str, object]] = []
    for inode, (where, port) in rows.items():
        holder = pids.get(inode)
        who = command_of(holder) if holder is not None else ""
        found.append({"address": address(where), "port": int(port, 16), "pid": holder, "command": who})
    return sorted(found, key=lambda one: (one["port"], one["address"]))


def peers(port: int) -> set[str]:
    """Collect the addresses that hold an established connection to local ``port``."""
    found = set()
    for row in _sockets():
        if row[3] == ESTABLISHED and int(row[1].rsplit(":", 1)[1], 16) == port:
            found.add(address(row[2].rsplit(":", 1)[0]))
    return found


def address(text: str) -> str:
    """Turn the kernel's hexadecimal address into the usual one; IPv4 inside IPv6 becomes IPv4.

    >>> address("0100007F")
    '127.0.0.1'
    """
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    raw = b"".join(words)
    if len(raw) == 16 and raw[:12] == b"\0" * 10 + b"\xff\xff":
        raw = raw[12:]
    if len(raw) == 4:
        return ".".join(str(byte) for byte in raw)
    return ":".join("%x" % int.from_bytes(raw[start : start + 2], "big") for start in range(0, 16, 2))


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for pid in all_pids():
        fields = fields_of(pid)
        if fields and fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(pid)
    return children


def _below(children: dict[int, list[int]], root: int) -> list[int]:
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _is_main(pid: int, service: str) -> bool:
    """Tell whether a process lives, in the service's own group, and is not what runs because the service has ended."""
    inside = service.encode() in _SERVICE.findall(_read("/proc/%d/cgroup" % pid))
    return inside and bool(start_of(pid)) and b"SERVICE_RESULT=" not in _read("/proc/%d/environ" % pid)


def _is_first(pid: int) -> bool:
    """Tell whether a process is process 1 of a container."""
    found = re.search(rb"^NSpid:\s*\d+\s(?:.*\s)?1$", _read("/proc/%d/status" % pid), re.MULTILINE)
    return found is not None


def _sockets() -> list[list[str]]:
    rows = []
    for name in ("tcp", "tcp6"):
        text = _read("/proc/net/" + name).decode("ascii", "replace")
        rows += [line.split() for line in text.splitlines()[1:]]
    return [row for row in rows if len(row) > 9]


def _owners(inodes: set[str]) -> list[tuple[int, str]]:
    if not inodes:
        return []
    links = {"socket:[%s]" % inode: inode for inode in inodes}
    found = []
    for pid in all_pids():
        folder = "/proc/%d/fd" % pid
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            try:
                link = os.readlink("%s/%s" % (folder, name))
            except OSError:
                continue
            if link in links:
                found.append((pid, links[link]))
    return found


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""
