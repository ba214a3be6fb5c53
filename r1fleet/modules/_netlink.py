"""Ask the kernel for all addresses over a netlink socket, as `ip address` does."""

from __future__ import annotations

import socket
import struct
from typing import Iterator, NamedTuple

_GET_ADDRESSES = 22
_NEW_ADDRESS = 20
_DONE = 3
_ERROR = 2
_REQUEST_DUMP = 0x301
_HEADER = struct.Struct("=IHHII")
_BODY = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4


class Address(NamedTuple):
    """One address of one interface."""

    family: int
    interface: int
    prefix: int
    scope: int
    text: str
    broadcast: str


def addresses() -> list[Address]:
    """Return every IPv4 and IPv6 address, in the kernel's order; none where netlink is refused."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as connection:
            body = _BODY.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
            length = _HEADER.size + len(body)
            connection.send(_HEADER.pack(length, _GET_ADDRESSES, _REQUEST_DUMP, 1, 0) + body)
            return list(_received(connection))
    except OSError:
        return []


def _received(connection: socket.socket) -> Iterator[Address]:
    while True:
        data = connection.recv(262144)
        while len(data) >= _HEADER.size:
            length, kind, _, _, _ = _HEADER.unpack_from(data)
            if kind in (_DONE, _ERROR) or length < _HEADER.size:
                return
            if kind == _NEW_ADDRESS:
                address = _parsed(data[_HEADER.size : length])
                if address is not None:
                    yield address
            data = data[_aligned(length) :]


def _parsed(body: bytes) -> Address | None:
    family, prefix, _, scope, index = _BODY.unpack_from(body)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    attributes = dict(_attributes(body[_BODY.size :]))
    # On a point-to-point link "address" is the other end; our own is "local".
    raw = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
    if raw is None:
        return None
    broadcast = attributes.get(_IFA_BROADCAST)
    text = socket.inet_ntop(family, raw)
    return Address(family, index, prefix, scope, text, socket.inet_ntop(family, broadcast) if broadcast else "")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3
