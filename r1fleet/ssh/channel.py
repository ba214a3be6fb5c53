"""One exec channel of a connection: the stream to an agent, or a plain command."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from r1fleet.transport import Completed, refusals
from r1fleet.transport.wire import TICK_SECONDS

OPEN_SECONDS = 10.0
KEEP_BYTES = 10 * 1024 * 1024
_CHUNK = 65536


def open_channel(transport: paramiko.Transport, command: str) -> paramiko.Channel:
    """Open a session and have it run ``command`` without waiting for the host's consent.

    Paramiko's own ``exec_command`` waits for it without a time limit (a frozen sshd would hold us for ever) and costs
    a round trip; a refusal shows as the channel's end all the same.
    """
    channel = transport.open_session(timeout=OPEN_SECONDS)
    channel.settimeout(TICK_SECONDS)
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(False)
    message.add_string(command)
    transport._send_user_message(message)  # type: ignore[attr-defined]
    return channel


class ChannelWire:
    """A stream over an exec channel."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def read(self, size: int) -> bytes:
        """Return what has come, b"" at the end; TimeoutError after a tick."""
        return self._channel.recv(size)

    def write(self, data: bytes) -> None:
        """Send all of ``data``, however long the host takes, unless the wire is cut."""
        send_all(self._channel, data)

    def complaint(self) -> str:
        """Return what came on the channel's standard error."""
        if not self._channel.recv_stderr_ready():
            return ""
        lines = self._channel.recv_stderr(4096).decode("utf-8", "replace").splitlines()
        return " / ".join(line.strip() for line in lines[-3:])

    def cut(self) -> None:
        """Break the whole connection: its threads see it within a tenth of a second, and nothing waits here."""
        self._channel.get_transport().packetizer.close()

    def release(self) -> None:
        """Close the channel; the connection, if it is still one, stays for plain commands."""
        _close(self._channel)


def send_all(channel: paramiko.Channel, data: bytes) -> None:
    """Send all of ``data``; raise OSError where the channel is closed."""
    view = memoryview(data)
    while view:
        try:
            view = view[channel.send(view[:_CHUNK].tobytes()) :]
        except TimeoutError:
            if not channel.get_transport().is_active():
                raise OSError("the connection broke") from None
        except (EOFError, paramiko.SSHException) as error:
            raise OSError("the connection broke") from error


def execute(host: str, transport: paramiko.Transport, command: str, stdin: bytes, timeout: float | None) -> Completed:
    """Run one command on a channel of its own; output beyond the bound is dropped."""
    channel = open_channel(transport, command)
    try:
        return _Execution(host, channel, timeout).complete(command, stdin)
    finally:
        _close(channel)


def _close(channel: paramiko.Channel) -> None:
    """Close a channel, also where paramiko has not noticed yet that the connection broke."""
    with suppress(EOFError, OSError, paramiko.SSHException):
        channel.close()


class _Execution:
    """A plain command that runs: standard input, output and error each move in a thread of their own."""

    def __init__(self, host: str, channel: paramiko.Channel, timeout: float | None) -> None:
        self._host = host
        self._channel = channel
        self._seconds = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._kept = {"recv": bytearray(), "recv_stderr": bytearray()}

    def complete(self, command: str, stdin: bytes) -> Completed:
        """Move the streams and return the end; raise HostUnreachable where the connection breaks first."""
        threads = [
            threading.Thread(target=self._feed, args=(stdin,), daemon=True),
            threading.Thread(target=self._drain, args=("recv_stderr",), daemon=True),
        ]
        for thread in threads:
            thread.start()
        self._drain("recv")
        threads[1].join()
        if self._late() and not self._channel.exit_status_ready():
            raise refusals.too_slow(self._host, command, self._seconds or 0)
        status = self._channel.recv_exit_status()
        if status < 0 and not self._channel.get_transport().is_active():
            raise refusals.lost(self._host, "the connection was closed in the middle of a command")
        return Completed(status, bytes(self._kept["recv"]), bytes(self._kept["recv_stderr"]))

    def _feed(self, stdin: bytes) -> None:
        with suppress(OSError):  # a command need not read what it is given
            send_all(self._channel, stdin)
            self._channel.shutdown_write()

    def _drain(self, method: str) -> None:
        kept = self._kept[method]
        while not self._late():
            try:
                data = getattr(self._channel, method)(_CHUNK)
            except TimeoutError:
                continue
            if not data:
                return
            kept += data[: KEEP_BYTES - len(kept)]

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline
