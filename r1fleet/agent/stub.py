"""How an agent's process begins: a command line that any shell leaves alone, and the few lines that read the bundle."""

from __future__ import annotations

import binascii
from typing import List

FLAGS = ("-I", "-S", "-X", "utf8")
ENTRY = "import sys,binascii;exec(binascii.a2b_base64(sys.argv[1]))"

# Python 2 must be able to parse it, so that an interpreter that is too old can say so.
_SOURCE = """
import os, sys
stub, nonce, others = sys.argv[1], sys.argv[2], sys.argv[3:]
if sys.version_info < (3, 7):
    while others:
        name = others.pop(0)
        try:
            os.execvp(name, [name] + %(flags)r + ["-c", %(entry)r, stub, nonce] + others)
        except OSError:
            pass
    os.write(1, ("\\n%%s old %%s\\n" %% (nonce, sys.version.split()[0])).encode())
    sys.exit(0)
receive, send, null = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0)
os.dup2(null, 1)
os.write(send, ("\\n%%s ready\\n" %% nonce).encode())
def read(size):
    data = b""
    while len(data) < size:
        piece = os.read(receive, min(size - len(data), 65536))
        if not piece:
            os._exit(0)
        data += piece
    return data
bundle = read(int.from_bytes(read(4), "big"))
import marshal, zlib
try:
    from _frozen_importlib_external import MAGIC_NUMBER as mark
except ImportError:
    mark = b""
parts = marshal.loads(zlib.decompress(bundle))
parts = parts["code"] if parts["mark"] == mark else parts["text"]
boot = parts["r1fleet.agent.boot"]
space = {"__name__": "r1fleet.agent.boot"}
exec(marshal.loads(boot) if isinstance(boot, bytes) else compile(boot, "<r1fleet>/boot.py", "exec"), space)
space["start"](receive, send, bundle, stub, parts, mark)
""" % {"flags": list(FLAGS), "entry": ENTRY}

TEXT = binascii.b2a_base64(_SOURCE.encode(), newline=False).decode()
"""The stub as one word of letters, digits and ``+/=``: nothing that sh, fish or csh would touch."""


def after(source: str, stub: str = TEXT) -> str:
    """Return a stub that runs ``source`` before it begins."""
    return binascii.b2a_base64(source.encode() + binascii.a2b_base64(stub), newline=False).decode()


def command(interpreter: str, nonce: str, stub: str = TEXT) -> List[str]:
    """Return the argv that starts an agent: it writes ``nonce ready`` on a line and then reads its bundle."""
    return [interpreter, *FLAGS, "-c", ENTRY, stub, nonce]
