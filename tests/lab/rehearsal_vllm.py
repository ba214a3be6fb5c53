#!/usr/bin/python3
"""What lies in the rehearsal's environment as vllm and as python3: it takes vLLM's words, and rehearses."""

import argparse
import os
import sys
from pathlib import Path

ENGINE = "/opt/rehearsal/engine.py"


def main() -> None:
    if Path(sys.argv[0]).name == "python3":
        generate(sys.argv[2:])
        return
    words = argparse.ArgumentParser()
    words.add_argument("command")
    words.add_argument("model")
    words.add_argument("--port", default="8000")
    words.add_argument("--nnodes", default="1")
    words.add_argument("--node-rank", default="0")
    words.add_argument("--master-addr", default="127.0.0.1")
    words.add_argument("--master-port", default="29501")
    told, _ = words.parse_known_args()
    argv = ["--rank", told.node_rank, "--world", told.nnodes, "--leader", told.master_addr]
    os.execv(sys.executable, [sys.executable, ENGINE, *argv, "--rendezvous", told.master_port, "--port", told.port])


def generate(argv: list[str]) -> None:
    """Answer as the offline generation does."""
    words = argparse.ArgumentParser()
    words.add_argument("--input-file")
    words.add_argument("--interactive", action="store_true")
    told, _ = words.parse_known_args(argv)
    sys.stderr.write("INFO loading\n")
    if not told.interactive:
        lines = Path(told.input_file).read_text(encoding="utf-8").splitlines()
        sys.stdout.writelines(f"{line.strip()}!\n" for line in lines)
        return
    while True:
        sys.stdout.write(">>> ")
        sys.stdout.flush()
        line = sys.stdin.readline().strip()
        if line == "/exit":
            return
        sys.stdout.write(f"you said {line}\n")


if __name__ == "__main__":
    main()
