"""The agent's loop: run calls in order, here or in a child of another identity, and never outlive the controller."""

from __future__ import annotations

import marshal
import os
import select
import signal
import threading
import time
import zlib
from queue import SimpleQueue
from typing import Any, Dict, Optional, Sequence, Set

from r1fleet.agent import calls, frames, groups, identity, incoming, places
from r1fleet.agent.context import Line
from r1fleet.agent.frames import Frame
from r1fleet.agent.identities import Identities
from r1fleet.agent.outcome import IdentityRefused, Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from r1fleet.agent.become import Child
    from r1fleet.agent.boot import Start
    from r1fleet.agent.incoming import Incoming

HEARTBEAT_SECONDS = 2.0
ORPHAN_SECONDS = 30.0


def serve(start: Start) -> None:
    """Serve until the controller is gone."""
    Agent(start).serve()


class Agent:
    """One process on a host: a reader thread, a heartbeat thread, and calls in the main thread."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._work: "SimpleQueue[Frame]" = SimpleQueue()
        self._cache: Dict[str, Any] = {}
        self._identities = Identities(start, self._relay)
        self._current = 0
        self._delegate: Optional[Child] = None
        self._cancelled: Set[int] = set()
        self._window: Optional[Sequence[Any]] = None  # of the current call: the window's name, the task's number
        self._broken: Sequence[Any] = ("", 0)  # the window and task of the last failure in a window
        self._expired = False
        self._incoming: Optional[Incoming] = None
        self._ending = threading.Lock()

    def serve(self) -> None:
        """Greet, then run calls in the order they come."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 2)
        signal.signal(signal.SIGUSR1, self._interrupt)
        signal.signal(signal.SIGTERM, lambda *_: self.end())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for target in (self._listen, self._beat):
            threading.Thread(target=target, daemon=True).start()
        self.send(frames.encode_json(frames.HELLO, 0, identity.introduction(self._start.mark)))
        while True:
            frame = self._work.get()
            if frame.kind == frames.CODE:
                self._learn(frame)
            else:
                self._perform(frame)

    def send(self, data: bytes) -> None:
        """Write to the controller; when it is gone, so are we."""
        with self._lock:
            view = memoryview(data)
            try:
                # A program that was killed because the controller left has no result to tell.
                while view and not self._ending.locked():
                    view = view[os.write(self._start.send, view) :]
            except OSError:
                self.end()

    def receive(self, ident: int, sha256: str, path: str) -> None:
        """Ask for content and wait until it lies at ``path``, checked."""
        with open(path, "wb", buffering=0) as stream:
            self._incoming = incoming.Incoming(ident, stream)
            self.send(frames.encode_json(frames.NEED, ident, sha256))
            try:
                self._incoming.wait(sha256)
            finally:
                self._incoming = None

    def end(self) -> None:
        """Kill what still runs, remove what is temporary, exit; never returns.

        A thread of its own does it: a signal may come while the main thread is here already, and the handler that
        waits would wait for itself (sudo passes on the TERM that its child has been sent, too).
        """
        if self._ending.acquire(blocking=False):
            threading.Thread(target=self._finish, daemon=True).start()
        while True:
            threading.Event().wait()

    def _finish(self) -> None:
        self._identities.end()
        groups.kill_all()
        self._identities.wait(3)
        places.clear()
        os._exit(0)

    # --- calls, in the main thread -----------------------------------------------------------------

    def _learn(self, frame: Frame) -> None:
        self._start.finder.add(marshal.loads(zlib.decompress(frame.payload)))
        self._identities.learn(frame)

    def _perform(self, frame: Frame) -> None:
        call = frame.json()
        become = self._identities.wanted(call.get("become"))
        self._window = call.get("window")
        if self._window and self._broken[0] == self._window[0] and self._broken[1] < self._window[1]:
            self._answer(frame.ident, {"changed": False, "unrun": True})
            return
        timer = self._timer(frame.ident, call.get("timeout"))
        try:
            self._current, self._expired = frame.ident, False
            if frame.ident in self._cancelled:
                raise Interrupted
            if become:
                self._forward(frame, become)
            else:
                self._answer(frame.ident, self._run(frame.ident, call))
        except Interrupted:
            self._answer(frame.ident, self._interrupted(call))
        except IdentityRefused as refused:
            words = {"reason": refused.reason, "detail": refused.detail, "user": become and become["user"]}
            self.send(frames.encode_json(frames.REFUSED, frame.ident, words))
            self._note({"failed": True})
        finally:
            self._current, self._delegate = 0, None
            self._cancelled.discard(frame.ident)
            if timer is not None:
                timer.cancel()

    def _run(self, ident: int, call: Dict[str, Any]) -> calls.Reply:
        return calls.invoke(
            call["module"],
            call["args"],
            check=call.get("check", False),
            diff=call.get("diff", False),
            environment=call.get("environment"),
            cache=self._cache,
            line=_Line(self, ident),
        )

    def _forward(self, frame: Frame, become: Dict[str, Any]) -> None:
        child = self._delegate = self._identities.child(become)
        call = dict(frame.json(), become=None)
        if not child.run(Frame(frames.CALL, frame.ident, frames.dump(call))):
            self._answer(frame.ident, _failed("the agent of %s ended in the middle of the call" % become["user"]))

    def _relay(self, frame: Frame) -> None:
        """Pass a child's frame on to the controller."""
        if self._window and frame.kind == frames.RESULT:
            self._note(frame.json())
        self.send(frames.encode(*frame))

    def _answer(self, ident: int, reply: calls.Reply) -> None:
        # From here on the call is over: an interrupt that comes late must not hit what follows.
        self._current = 0
        self._note(reply)
        try:
            data = frames.encode_json(frames.RESULT, ident, reply)
        except (TypeError, ValueError) as error:
            data = frames.encode_json(frames.RESULT, ident, _failed("the module's result is no plain data: %s" % error))
        self.send(data)

    def _note(self, reply: calls.Reply) -> None:
        """Remember a failure that ends a window."""
        if self._window and reply.get("failed"):
            self._broken = self._window

    def _interrupted(self, call: Dict[str, Any]) -> calls.Reply:
        if not self._expired:
            return dict(_failed("cancelled"), cancelled=True)
        return dict(_failed("Timed out after %g second(s)." % call["timeout"]), timedout={"period": call["timeout"]})

    def _timer(self, ident: int, seconds: Optional[float]) -> Optional[threading.Timer]:
        if not seconds:
            return None
        timer = threading.Timer(seconds, self._expire, (ident,))
        timer.daemon = True
        timer.start()
        return timer

    def _expire(self, ident: int) -> None:
        if self._current == ident and self._delegate is None:
            self._expired = True
            self._poke()

    def _poke(self) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _interrupt(self, *_: object) -> None:
        if self._current and (self._expired or self._current in self._cancelled):
            self._current = 0  # once is enough: the call is ending
            raise Interrupted

    # --- frames, in the reader's thread ------------------------------------------------------------

    def _listen(self) -> None:
        decoder = frames.Decoder()
        heard = time.monotonic()
        while True:
            ready, _, _ = select.select([self._start.receive], [], [], HEARTBEAT_SECONDS)
            if not ready:
                if time.monotonic() - heard > ORPHAN_SECONDS:
                    self.end()
                continue
            heard = time.monotonic()
            try:
                data = os.read(self._start.receive, 262144)
                for frame in decoder.feed(data):
                    self._take(frame)
            except (OSError, frames.BrokenStream):
                data = b""
            if not data:
                self.end()

    def _take(self, frame: Frame) -> None:
        if frame.kind in (frames.CALL, frames.CODE):
            self._work.put(frame)
        elif frame.kind in (frames.DATA, frames.END):
            self._take_content(frame)
        elif frame.kind == frames.CANCEL:
            self._cancel(frame)
        elif frame.kind == frames.SETTINGS:
            settings = frame.json()
            self._identities.settle(settings)
            places.prefer(settings.get("temporary"))
        elif frame.kind == frames.BYE:
            self.end()

    def _take_content(self, frame: Frame) -> None:
        if self._delegate is not None:
            self._delegate.write(frames.encode(*frame))
        elif self._incoming is not None and self._incoming.ident == frame.ident:
            self._incoming.take(frame)

    def _cancel(self, frame: Frame) -> None:
        self._cancelled.add(frame.ident)
        if self._current != frame.ident:
            return
        if self._delegate is not None:
            self._delegate.write(frames.encode(*frame))
        else:
            self._poke()

    # --- signs of life -----------------------------------------------------------------------------

    def _beat(self) -> None:
        ping = frames.encode(frames.PING)
        while True:
            time.sleep(HEARTBEAT_SECONDS)
            self.send(ping)
            self._identities.tell(ping)


class _Line(Line):
    """A context's way to the controller."""

    def __init__(self, agent: Agent, ident: int) -> None:
        self._agent = agent
        self._ident = ident

    def output(self, text: str) -> None:
        """Tell one line of progress."""
        self._agent.send(frames.encode_json(frames.OUTPUT, self._ident, text))

    def receive(self, sha256: str, path: str) -> None:
        """Ask for content and write it to ``path``."""
        self._agent.receive(self._ident, sha256, path)

    def send(self, chunk: bytes) -> None:
        """Send a piece of a file to the controller."""
        self._agent.send(frames.encode(frames.DATA, self._ident, chunk))


def _failed(msg: str) -> calls.Reply:
    return {"changed": False, "failed": True, "msg": msg}
