"""A slow line between the controller and a lab: frames wait in a queue, half a round trip each way.

It works without the kernel's sch_netem, which not every kernel has: the controller's cable moves to a bridge of its
own, and this process carries every frame between that bridge's TAP and the switch's.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from r1fleet.lab import Lab

_TUNSETIFF = 0x400454CA
_TAP, _NO_PI = 0x0002, 0x1000
_FRAME = 65536


@contextmanager
def slow_line(lab: Lab, round_trip: float) -> Iterator[None]:
    """Delay everything between the controller and the lab's hosts by ``round_trip`` seconds."""
    command = ["ip", "netns", "exec", lab.switch, sys.executable, "-m", "benchmarks.delay", str(round_trip / 2)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as line:
        assert line.stdin is not None
        assert line.stdout is not None
        try:
            if line.stdout.readline() != b"ready\n":
                raise SystemExit("the slow line could not be laid")
            yield
        finally:
            line.stdin.close()  # its end; so is ours, should we be killed
            line.wait(10)


def main() -> None:
    """Carry frames until standard input ends, then put the cable back."""
    seconds = float(sys.argv[1])
    near, far = _tap("slow-near"), _tap("slow-far")
    try:
        _ip("link", "add", "name", "near", "type", "bridge", "forward_delay", "0")
        _ip("link", "set", "dev", "slow-near", "master", "near")
        _ip("link", "set", "dev", "slow-far", "master", "switch")
        _ip("link", "set", "dev", "uplink", "master", "near")
        for name in ("near", "slow-near", "slow-far"):
            _ip("link", "set", "dev", name, "up")
        os.write(1, b"ready\n")
        _carry(near, far, seconds)
    finally:
        _ip("link", "set", "dev", "uplink", "master", "switch")
        _ip("link", "del", "near")


def _carry(near: int, far: int, seconds: float) -> None:
    other = {near: far, far: near}
    queue: deque[tuple[float, int, bytes]] = deque()
    while True:
        wait = max(0.0, queue[0][0] - time.monotonic()) if queue else None
        ready, _, _ = select.select([0, near, far], [], [], wait)
        if 0 in ready:
            return
        for tap in ready:
            queue.append((time.monotonic() + seconds, other[tap], os.read(tap, _FRAME)))
        now = time.monotonic()
        while queue and queue[0][0] <= now:
            _, tap, frame = queue.popleft()
            os.write(tap, frame)


def _tap(name: str) -> int:
    """Make a TAP interface; it goes when its descriptor is closed."""
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH14x", name.encode(), _TAP | _NO_PI))
    return tap


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


if __name__ == "__main__":
    main()
