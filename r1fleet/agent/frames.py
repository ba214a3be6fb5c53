"""The frames that a controller and its agents exchange: length, kind, call, payload."""

from __future__ import annotations

import json
import struct
from typing import Any, Iterator, NamedTuple

HELLO, SETTINGS, CALL, RESULT, REFUSED, OUTPUT, NEED, DATA, END, PING, CANCEL, BYE, CODE = range(1, 14)
"""Agent's greeting; settings; a call and its end; an identity not to be had; a line of progress; content asked for,
its pieces and its end; a sign of life; stop one call; stop; modules that calls to come need."""

LIMIT = 512 * 1024 * 1024
_HEAD = struct.Struct(">IBI")


class Frame(NamedTuple):
    """One frame; ``ident`` is the call it belongs to, 0 where none."""

    kind: int
    ident: int
    payload: bytes

    def json(self) -> Any:
        """Read the payload; text that was not UTF-8 comes back as lone surrogates."""
        return json.loads(self.payload.decode("ascii"))


class BrokenStream(Exception):
    """What arrived is not a stream of frames."""


def encode(kind: int, ident: int = 0, payload: bytes = b"") -> bytes:
    """Write one frame."""
    return _HEAD.pack(len(payload), kind, ident) + payload


def encode_json(kind: int, ident: int, value: Any) -> bytes:
    """Write one frame of JSON; any text survives, bytes become text."""
    return encode(kind, ident, dump(value))


def dump(value: Any) -> bytes:
    """Write JSON in ASCII."""
    return json.dumps(value, default=_plain).encode("ascii")


class Decoder:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add what arrived and yield every frame that is whole."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            length, kind, ident = _HEAD.unpack_from(self._buffer)
            if length > LIMIT or not HELLO <= kind <= CODE:
                raise BrokenStream("a frame of kind %d and %d bytes" % (kind, length))
            end = _HEAD.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEAD.size : end])
            del self._buffer[:end]
            yield Frame(kind, ident, payload)


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "surrogateescape")
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError("%s is no plain data" % type(value).__name__)
