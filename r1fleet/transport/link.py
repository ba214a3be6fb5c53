"""The controller's end of an agent: calls out, replies in, and a host that falls silent is lost."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from r1fleet.agent import frames
from r1fleet.agent.frames import Decoder, Frame
from r1fleet.errors import FleetError
from r1fleet.transport import refusals, watch
from r1fleet.transport.bundle import Shipment, pack
from r1fleet.transport.greeting import Greeting
from r1fleet.transport.protocol import Blob, Call, Reply
from r1fleet.transport.wire import TICK_SECONDS, Wire

START_SECONDS = 15.0
END_SECONDS = 3.0
SLEEP_SECONDS = 20.0
"""A reader that did not run for so long belongs to a controller that was stopped; agents wait for 30 seconds."""
_CHUNK = 65536
_SLEEPLESS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Sink = Callable[[bytes], None]


@dataclass(slots=True)
class _Pending:
    """A call that has been sent and not yet answered."""

    future: Future[Reply]
    on_output: Callable[[str], None] | None
    sink: Sink | None
    blobs: Mapping[str, Blob] = field(default_factory=dict)


class Link:
    """One agent over one wire; thread-safe, with one reader thread."""

    def __init__(self, host: str, wire: Wire, nonce: str, *, elevated: bool = False) -> None:
        self.host = host
        self._elevated = elevated
        self._mark = b""
        self._wire = wire
        self._greeting = Greeting(nonce)
        self._writing = threading.Lock()
        self._state = threading.Lock()
        self._pending: dict[int, _Pending] = {}
        self._numbers = itertools.count(1)
        self._hello: Future[dict[str, Any]] = Future()
        self._lost: FleetError | None = None
        self._closing = False
        self._pinged = self.heard = time.monotonic()
        self._awake = _clock()
        self._slept = 0.0  # how long this controller has once stood still
        self._reader = threading.Thread(target=self._listen, name=f"link {host}", daemon=True)

    def start(self, *, modules: Mapping[str, str] | None = None, temporary: str | None = None) -> dict[str, Any]:
        """Send the bundle and wait for the agent's greeting; raise HostUnreachable where it does not come."""
        self._reader.start()
        watch.add(self)
        self._shipment = Shipment(modules)
        settings = frames.encode_json(frames.SETTINGS, 0, {"temporary": temporary, "elevated": self._elevated})
        with suppress(OSError):  # the reader sees the end and knows why
            self._write(pack() + settings)
        try:
            hello = self._hello.result(START_SECONDS)
        except TimeoutError:
            self.lose(refusals.not_started(self.host, self._greeting.noise, self._wire.complaint(), silent=True))
            hello = self._hello.result()
        self._mark = bytes.fromhex(hello["mark"])
        return hello

    @property
    def lost(self) -> bool:
        """Whether the host is lost or the link closed."""
        return self._lost is not None

    def submit(
        self, call: Call, on_output: Callable[[str], None] | None = None, sink: Sink | None = None
    ) -> Future[Reply]:
        """Queue one call; ``future.cancel()`` stops it on the host."""
        future: Future[Reply] = Future()
        pending = _Pending(future, on_output, sink, {blob.sha256: blob for blob in call.blobs})
        with self._state:
            ident = next(self._numbers)
            self._pending[ident] = pending
        if self._lost is not None:
            self._drop(ident)
            return future
        future.add_done_callback(lambda done: self._cancel(ident) if done.cancelled() else None)
        try:
            self._send(ident, call)
        except OSError as error:
            self.lose(refusals.lost(self.host, str(error)))
        return future

    def close(self) -> None:
        """Say goodbye, wait for the agent's end, cut the wire."""
        self.farewell()
        if self._reader.is_alive() and self._reader is not threading.current_thread():
            self._reader.join(END_SECONDS)
        self.lose(refusals.closed(self.host))

    def farewell(self) -> None:
        """Tell the agent to end what it runs and itself, without waiting."""
        if self._closing or self._lost is not None:
            return
        self._closing = True
        self._try_write(frames.encode(frames.BYE))

    def lose(self, error: FleetError) -> None:
        """Give the host up at once: every waiting call ends with ``error``, the wire is cut."""
        self._give_up(error, self._wire.cut)

    def _give_up(self, error: FleetError, let_go: Callable[[], None]) -> None:
        with self._state:
            if self._lost is not None:
                return
            self._lost = error
            waiting = list(self._pending)
        watch.remove(self)
        try:
            let_go()
        finally:
            # Whoever waits is told, whatever became of the wire.
            if not self._hello.done():
                self._hello.set_exception(error)
            for ident in waiting:
                self._drop(ident)

    # --- writing -----------------------------------------------------------------------------------

    def _send(self, ident: int, call: Call) -> None:
        """Write a call, behind the modules that it needs and the agent does not have."""
        data = frames.encode_json(frames.CALL, ident, _as_json(call))
        with self._writing:
            code = self._shipment.missing(self._needed(call), self._mark)
            self._wire.write(data if code is None else frames.encode(frames.CODE, 0, code) + data)

    def _needed(self, call: Call) -> list[str]:
        names = ["r1fleet.agent.calls", _path(call.module)]
        if call.module == "agent.job":
            names.append(_path(str(call.args["module"])))
        here = call.become is not None and call.become.user == "root" if self._elevated else call.become is None
        return names if here else [*names, "r1fleet.agent.identities", "r1fleet.agent.become"]

    def _write(self, data: bytes) -> None:
        with self._writing:
            self._wire.write(data)

    def _try_write(self, data: bytes) -> None:
        """Write if nobody else does: whoever writes is a sign of life, and waiting here could be for ever."""
        if self._writing.acquire(blocking=False):
            try:
                with suppress(OSError):
                    self._wire.write(data)
            finally:
                self._writing.release()

    def _cancel(self, ident: int) -> None:
        if ident in self._pending:
            try:
                self._write(frames.encode(frames.CANCEL, ident))
            except OSError as error:
                self.lose(refusals.lost(self.host, str(error)))

    def _stream(self, ident: int, blob: Blob) -> None:
        reason: str | None = None
        try:
            with blob.open() as content:
                while chunk := content.read(_CHUNK):
                    if self._lost is not None or ident not in self._pending:
                        return
                    self._write(frames.encode(frames.DATA, ident, chunk))
        except OSError as error:
            reason = f"{error.strerror or error}"
        self._try_end(ident, reason)

    def _try_end(self, ident: int, reason: str | None) -> None:
        try:
            self._write(frames.encode_json(frames.END, ident, {"error": reason}))
        except OSError as error:
            self.lose(refusals.lost(self.host, str(error)))

    # --- reading, in the reader's thread -----------------------------------------------------------

    def _listen(self) -> None:
        decoder = Decoder()
        try:
            while self._lost is None:
                data = self._read()
                if data is None:
                    continue
                if not data:
                    break
                for frame in decoder.feed(data):
                    self._take(frame)
        except (OSError, frames.BrokenStream) as error:
            self.lose(refusals.lost(self.host, str(error)))
            return
        self._give_up(self._ended(), self._wire.release)

    def _read(self) -> bytes | None:
        """Return bytes of frames, b"" at the end, None when there is nothing for the decoder yet."""
        self._notice_sleep()
        self._ping()
        try:
            data = self._wire.read(_CHUNK)
        except TimeoutError:
            return None
        self.heard = time.monotonic()
        if self._greeting.outcome or not data:
            return data
        rest = self._greeting.feed(data)
        if self._greeting.too_noisy or (rest is not None and not self._greeting.ready):
            return b""
        return rest or None

    def _ping(self) -> None:
        if time.monotonic() - self._pinged >= TICK_SECONDS and self._hello.done():
            self._pinged = time.monotonic()
            self._try_write(frames.encode(frames.PING))

    def _notice_sleep(self) -> None:
        now = _clock()
        if now - self._awake > SLEEP_SECONDS:
            self._slept = now - self._awake
        self._awake = now

    def _ended(self) -> FleetError:
        self._notice_sleep()
        greeting = self._greeting
        if self._closing:
            return refusals.closed(self.host)
        if self._slept:
            return refusals.slept(self.host, self._slept)
        if greeting.ready and self._hello.done():
            return refusals.lost(self.host, "the connection was closed by the host")
        if greeting.outcome in ("none", "old"):
            return refusals.no_python(self.host, greeting.outcome, greeting.detail)
        return refusals.not_started(self.host, greeting.noise, self._wire.complaint(), silent=False)

    def _take(self, frame: Frame) -> None:
        if frame.kind == frames.HELLO:
            self._hello.set_result(frame.json())
            return
        pending = self._pending.get(frame.ident)
        if pending is None:
            return
        if frame.kind == frames.RESULT:
            self._settle(frame.ident, frame.json())
        elif frame.kind == frames.REFUSED:
            self._settle(frame.ident, refusals.identity(self.host, frame.json()))
        elif frame.kind == frames.OUTPUT and pending.on_output is not None:
            pending.on_output(frame.json())
        elif frame.kind == frames.DATA and pending.sink is not None:
            pending.sink(frame.payload)
        elif frame.kind == frames.NEED:
            self._serve(frame.ident, pending, frame.json())

    def _serve(self, ident: int, pending: _Pending, sha256: str) -> None:
        blob = pending.blobs.get(sha256)
        # Never write from the reader's thread: it must keep hearing the host.
        target, args = (self._stream, (ident, blob)) if blob else (self._try_end, (ident, "it was not offered"))
        threading.Thread(target=target, args=args, name=f"content {self.host}", daemon=True).start()

    def _settle(self, ident: int, outcome: Reply | FleetError) -> None:
        with self._state:
            pending = self._pending.pop(ident, None)
        if pending is None or not pending.future.set_running_or_notify_cancel():
            return
        if isinstance(outcome, FleetError):
            pending.future.set_exception(outcome)
        else:
            pending.future.set_result(outcome)

    def _drop(self, ident: int) -> None:
        assert self._lost is not None
        self._settle(ident, self._lost)


def _clock() -> float:
    """Return seconds that also pass while the machine sleeps."""
    return time.clock_gettime(_SLEEPLESS)


def _path(module: str) -> str:
    return f"r1fleet.{module}" if "." in module else f"r1fleet.modules.{module}"


def _as_json(call: Call) -> dict[str, Any]:
    become = call.become
    return {
        "module": _path(call.module),
        "args": dict(call.args),
        "check": call.check,
        "diff": call.diff,
        "environment": {name: str(value) for name, value in call.environment.items()},
        "timeout": call.timeout,
        "window": call.window,
        "become": None
        if become is None
        else {"user": become.user, "method": become.method, "flags": become.flags, "password": become.password},
    }
