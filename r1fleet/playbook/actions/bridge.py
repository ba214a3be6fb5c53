"""What rsync runs in place of ssh: it passes rsync's words to the session that is open already, over a socket.

A program of its own, standard library only: ``python -I -S bridge.py SOCKET HOST COMMAND...``.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading


def main() -> None:
    """Say which command is wanted, then move bytes both ways until the host's side ends; end as it did."""
    line = socket.socket(socket.AF_UNIX)
    line.connect(sys.argv[1])
    line.sendall(json.dumps(sys.argv[3:]).encode() + b"\n")
    threading.Thread(target=_send, args=(line,), daemon=True).start()
    while data := line.recv(65536):
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]
    with open(sys.argv[1] + ".status", encoding="ascii") as stream:  # noqa: PTH123 - a start without pathlib is quicker
        sys.exit(int(stream.read()))


def _send(line: socket.socket) -> None:
    while data := os.read(0, 65536):
        line.sendall(data)


if __name__ == "__main__":
    main()
