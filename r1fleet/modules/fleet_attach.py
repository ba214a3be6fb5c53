"""Carry a job's conversation: what was typed into its input, what it has answered since."""

from __future__ import annotations

import errno
import os
from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS = {
    "output": {"type": "path", "required": True},
    "offset": {"type": "int", "default": 0},
    "stdin": {"type": "path", "default": ""},
    "typed": {"type": "str", "default": "", "no_log": True},
}
LOCAL = True
CHECK_MODE = False

CHUNK = 64 * 1024


def run(ctx: Context) -> dict[str, Any]:
    """Write ``typed`` whole or not at all (``taken``), then tell the output from ``offset`` on."""
    taken = bool(ctx.args["typed"]) and _type(ctx.args["stdin"], ctx.args["typed"])
    text, offset = _since(ctx.args["output"], ctx.args["offset"])
    return {"changed": taken, "taken": taken, "text": text, "offset": offset}


def _type(path: str, typed: str) -> bool:
    """Write to the FIFO without ever waiting; up to 4096 bytes go in whole, or not at all."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False  # the job does not read yet, or no more
        raise
    try:
        os.write(descriptor, typed.encode("utf-8", "surrogateescape"))
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _since(path: str, offset: int) -> tuple[str, int]:
    try:
        with open(path, "rb") as stream:
            stream.seek(offset)
            raw = stream.read(CHUNK)
    except FileNotFoundError:
        return "", offset
    text = _whole(raw)
    return text, offset + len(text.encode("utf-8", "surrogateescape"))


def _whole(raw: bytes) -> str:
    """Decode what is there, without the beginning of a character whose rest has not come yet."""
    for cut in range(min(4, len(raw))):
        try:
            return raw[: len(raw) - cut].decode()
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", "surrogateescape")
