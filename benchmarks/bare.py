"""The least that any tool over SSH has to do: connect to every host and run Python there, over paramiko threads."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko


def main() -> None:
    """Print the seconds it took; importing paramiko is not counted."""
    table = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    began = time.monotonic()
    with ThreadPoolExecutor(len(table["hosts"])) as pool:
        list(pool.map(lambda address: _run_python(table, address), table["hosts"].values()))
    print(time.monotonic() - began)


def _run_python(table: dict[str, Any], address: str) -> None:
    with paramiko.SSHClient() as client:
        client.load_host_keys(table["known_hosts"])
        client.connect(
            address, username=table["user"], key_filename=table["key"], look_for_keys=False, allow_agent=False
        )
        _, stdout, _ = client.exec_command("python3 -S -E -c pass")
        if stdout.channel.recv_exit_status():
            raise SystemExit(f"{address}: python3 failed")


if __name__ == "__main__":
    main()
