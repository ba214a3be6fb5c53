"""What keeps a swarm's program alive on a host: a unit of systemd's that survives a reboot, else a plain process."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any, Dict, List

UNITS = "/etc/systemd/system"
_WANTS = "multi-user.target.wants"
_SHOWN_LOOKS, _SHOWN_PAUSE = 100, 0.01

_TEXT = """\
# written by r1fleet; removed again when every host has everything
[Unit]
Description=r1fleet: a sealed set on its way ({name})
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart={command}
Environment="PYTHONPATH={path}"
Restart=on-failure
RestartSec=1
LimitNOFILE=65536
NoNewPrivileges=yes
StandardOutput=append:{log}
StandardError=append:{log}

[Install]
WantedBy=multi-user.target
"""


def has_systemd() -> bool:
    """Tell whether systemd runs this host."""
    return os.path.isdir("/run/systemd/system")


def start(name: str, argv: List[str], path: str, log: str) -> int:
    """Start a program that survives whoever started it; return its process, 0 where systemd knows it."""
    if not has_systemd():
        return _detach(argv, path, log)
    place = os.path.join(UNITS, name)
    os.makedirs(os.path.join(UNITS, _WANTS), exist_ok=True)
    with open(place + ".new", "w", encoding="utf-8") as stream:
        stream.write(_TEXT.format(name=name, command=" ".join(argv), path=path, log=log))
    os.rename(place + ".new", place)
    link = os.path.join(UNITS, _WANTS, name)
    if not os.path.islink(link):
        os.symlink(place, link)
    _systemctl("daemon-reload")
    _systemctl("restart", name)
    return 0


def runs(name: str, status: Dict[str, Any]) -> bool:
    """Tell whether the program is alive: the process that wrote the status, or one that its unit has started since."""
    if _is_program(int(status.get("pid", 0))):
        return True
    return has_systemd() and _systemctl("is-active", "--quiet", name, check=False) == 0


def _is_program(pid: int) -> bool:
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as stream:
            return b"r1fleet.agent.swarm" in stream.read()
    except OSError:
        return False


def stop(name: str, status: Dict[str, Any]) -> None:
    """End the program, and leave nothing of its unit."""
    if has_systemd():
        _systemctl("stop", name, check=False)
    elif runs(name, status):
        os.kill(int(status["pid"]), 15)
    remove(name)


def remove(name: str) -> None:
    """Remove the unit's files; a program that runs ends by itself."""
    found = False
    for path in (os.path.join(UNITS, _WANTS, name), os.path.join(UNITS, name)):
        if os.path.lexists(path):
            os.unlink(path)
            found = True
    if found and has_systemd():
        _systemctl("daemon-reload", check=False)
        _systemctl("reset-failed", name, check=False)


def _systemctl(*words: str, check: bool = True) -> int:
    done = subprocess.run(["systemctl", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if check and done.returncode:
        raise OSError("systemctl %s: %s" % (" ".join(words), done.stderr.decode("utf-8", "replace").strip()))
    return done.returncode


def _detach(argv: List[str], path: str, log: str) -> int:
    with open(log, "ab") as stream:
        pid = subprocess.Popen(
            argv,
            env=dict(os.environ, PYTHONPATH=path),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd="/",
        ).pid
    for _ in range(_SHOWN_LOOKS):  # a process has begun a moment before its command line shows
        if _is_program(pid):
            break
        time.sleep(_SHOWN_PAUSE)
    return pid
