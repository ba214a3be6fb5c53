"""Start one rank's part of a Ray cluster: wait for the head where asked, run the commands in turn, become the last."""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time


def main():
    """Run what stands between the double hyphens; a command that fails ends the rank with its status."""
    options, *commands = parts(sys.argv[1:])
    own = parser().parse_args(options)
    shutil.rmtree(own.temporary, ignore_errors=True)
    if own.wait_for:
        wait_for(own.wait_for)
    for command in commands[:-1]:
        status = subprocess.call(command)
        if status:
            sys.exit(status)
    os.execvp(commands[-1][0], commands[-1])


def parser():
    """Return the parser of this script's own options."""
    made = argparse.ArgumentParser()
    made.add_argument("--temporary", required=True, help="Ray's folder, which an earlier cluster may have left")
    made.add_argument("--wait-for", metavar="HOST:PORT", help="where the head will listen")
    return made


def parts(words):
    """Divide words at their double hyphens."""
    found = [[]]
    for word in words:
        if word == "--":
            found.append([])
        else:
            found[-1].append(word)
    return found


def wait_for(address):
    """Wait until the head listens, however long: the launch has a time limit, and ends the rank."""
    host, _, port = address.rpartition(":")
    sys.stdout.write(f"waiting for the Ray head at {address}\n")
    sys.stdout.flush()
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError:
            time.sleep(1)


if __name__ == "__main__":
    main()
