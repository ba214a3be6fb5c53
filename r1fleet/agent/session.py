"""Keep one process alive without systemd: a session of its own, a file with its number, a record of how it ended.

``python3 -m r1fleet.agent.session start|stop|inspect CONFIG``. The keeper that `start` leaves behind takes in whatever
its process loses (orphans become its children), so that all of it is known and can be ended, wherever it went.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import resource
import signal
import sys
import time
from typing import Any, Callable

from r1fleet.agent.processes import UNIT, all_pids, boot_id, descendants, fields_of, members, owners, start_of

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
TICK = 0.05
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main(argv: list[str]) -> int:
    """Do one thing for the process that a configuration describes."""
    with open(argv[2], encoding="utf-8") as stream:
        config = json.load(stream)
    return {"start": start, "keep": keep, "stop": stop, "inspect": inspect}[argv[1]](config, argv[2])


def start(config: dict[str, Any], path: str) -> int:
    """Leave a keeper behind and return when its process runs; fails when the name is taken or the user is unknown."""
    if keeper(config):
        return _say("%s runs already" % config["name"])
    try:
        account_of(config["user"])
    except KeyError:
        return _say("there is no user %s on this host" % config["user"])
    for old in (config["exit_record"], config["pid_file"]):
        if os.path.exists(old):
            os.unlink(old)
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            argv = [sys.executable, "-B", "-m", "r1fleet.agent.session", "keep", path, str(writing)]
            os.execve(sys.executable, argv, dict(os.environ, **{UNIT: config["name"]}))
        os._exit(0)
    os.close(writing)
    os.wait()
    with os.fdopen(reading) as stream:
        told = stream.read()
    return 0 if told == "started" else _say(told or "%s could not be started" % config["name"])


def keep(config: dict[str, Any], path: str) -> int:
    """Be the keeper."""
    told = int(sys.argv[3])
    os.set_inheritable(told, False)
    return Keeper(config).run(told)


def stop(config: dict[str, Any], path: str) -> int:
    """Ask the keeper to end all of it; where it is gone, end what is left of its session."""
    pid = keeper(config)
    if pid:
        _kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + config["stop_seconds"] + 5
        while keeper(config) and time.monotonic() < deadline:
            time.sleep(TICK)
    left = end_all(lambda: remains(config), config["stop_seconds"])
    return _say("%s is still running: %s" % (config["name"], left)) if left else 0


def inspect(config: dict[str, Any], path: str) -> int:
    """Tell the state in systemd's words, and how it ended."""
    pid, rows = keeper(config), []
    if os.path.exists(config["exit_record"]):
        with open(config["exit_record"], encoding="utf-8") as stream:
            rows = ["LoadState=not-found", "ActiveState=inactive", "ExitRecord=" + stream.readline().strip()]
    elif pid:
        kept = _read_json(config["pid_file"])
        rows = ["LoadState=loaded", "ActiveState=active", "MainPID=%d" % kept["child"]]
        rows.append("ExecMainStartTimestamp=%s" % kept["since"])
    sys.stdout.write("".join(row + "\n" for row in rows))
    return 0


def keeper(config: dict[str, Any]) -> int:
    """Return the keeper's number, or 0: a number that is another's by now, or from before a reboot, is none."""
    kept = _read_json(config["pid_file"])
    pid = int(kept.get("pid", 0))
    same = kept.get("boot_id") == boot_id() and kept.get("start") == start_of(pid)
    return pid if same else 0


def remains(config: dict[str, Any]) -> list[int]:
    """List what a keeper that was killed has left: what carries the name, and the process's own session."""
    kept = _read_json(config["pid_file"])
    found = set(members(owners(), config["name"])) - {os.getpid()}
    if kept.get("boot_id") == boot_id():
        for pid in all_pids():
            fields = fields_of(pid)
            in_session = len(fields) > 19 and fields[0] != "Z" and int(fields[3]) == kept["child"]
            if in_session and int(fields[19]) >= int(kept["start"]):
                found.add(pid)
    return sorted(found)


def end_all(listed: Callable[[], list[int]], seconds: float) -> list[int]:
    """Send SIGTERM to all that is listed, SIGKILL when the time is up; returns what outlives both."""
    deadline = time.monotonic() + seconds
    asked: set[int] = set()
    while True:
        pids = listed()
        late = time.monotonic() > deadline
        if not pids or time.monotonic() > deadline + 5:
            return pids
        for pid in pids:
            if late or pid not in asked:
                asked.add(pid)
                _kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(TICK)


class Keeper:
    """The program that stays: starts the process, waits for its end, says how it ended, ends what it has left."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.child = 0
        self.status: int | None = None
        self.stopping = False

    def run(self, told: int) -> int:
        """Stay until the process has ended for good."""
        try:
            ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
            signal.signal(signal.SIGTERM, self._stop)
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            self._begin()
            os.write(told, b"started")
        except OSError as error:
            os.write(told, ("%s: %s" % (self.config["name"], error)).encode())
            return 1
        finally:
            os.close(told)
        _leave_streams()
        for left in range(self.config["restarts"], -1, -1):
            status = self._wait()
            if left == 0 or status == 0 or self.stopping:
                _write(self.config["exit_record"], record_of(status, stopped=self.stopping) + "\n")
            end_all(self._below, self.config["stop_seconds"])
            if os.path.exists(self.config["exit_record"]):
                break
            self._pause()
            self._begin()
        os.unlink(self.config["pid_file"])
        return 0

    def _stop(self, number: int, frame: Any) -> None:
        self.stopping = True

    def _begin(self) -> None:
        self.status = None
        self.child = os.fork()
        if self.child == 0:
            try:
                become(self.config)
            except (OSError, ValueError) as error:
                os.write(2, ("%s: %s\n" % (self.config["entry"], error)).encode())
            finally:
                os._exit(127)
        mine = os.getpid()
        since = time.strftime("%a %Y-%m-%d %H:%M:%S %Z")
        kept = {"pid": mine, "start": start_of(mine), "boot_id": boot_id(), "child": self.child, "since": since}
        _write(self.config["pid_file"], json.dumps(kept))

    def _wait(self) -> int:
        """Wait for the process's end; a stop is passed on to everything."""
        while self.status is None:
            if self.stopping:
                end_all(self._below, self.config["stop_seconds"])
            self._below()
            time.sleep(TICK)
        return self.status

    def _below(self) -> list[int]:
        """List all that lives below, after collecting what has ended."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == self.child:
                    self.status = status
                if pid == 0:
                    break
        except ChildProcessError:
            return []
        return descendants(os.getpid())

    def _pause(self) -> None:
        deadline = time.monotonic() + self.config["restart_seconds"]
        while time.monotonic() < deadline and not self.stopping:
            time.sleep(TICK)


def become(config: dict[str, Any]) -> None:
    """Turn this fork into the process: its session, limits, account, streams, environment."""
    account = account_of(config["user"])
    os.setsid()
    for caught in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(caught, signal.SIG_DFL)
    for name, value in config["limits"].items():
        _limit(name, value)
    for number, path in ((1, config["output"]), (2, config["log"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(config["directory"])
    environ = {"PATH": os.environ.get("PATH", _PATH), "LANG": os.environ.get("LANG", "C.UTF-8"), UNIT: config["name"]}
    if account is not None:
        name, uid, gid, home = account
        if os.getuid() == 0:
            os.initgroups(name, gid) if name else os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        environ.update(USER=name or str(uid), LOGNAME=name or str(uid), HOME=home)
    os.execve(config["entry"], [config["entry"]], environ)


def account_of(user: str) -> tuple[str, int, int, str] | None:
    """Find an account by name or number (``1000`` or ``1000:1000``); None for whoever runs this."""
    if not user:
        return None
    first, _, second = user.partition(":")
    if first.isdigit():
        return "", int(first), int(second or first), "/"
    entry = pwd.getpwnam(user)
    return entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir


def record_of(status: int, *, stopped: bool = False) -> str:
    """Write a status as systemd names it: result, code, status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = next((one.name[3:] for one in signal.Signals if one == number), str(number))
        return "%s killed %s" % ("success" if stopped and name == "TERM" else "signal", name)
    code = os.WEXITSTATUS(status)
    return "%s exited %d" % ("exit-code" if code else "success", code)


def _limit(name: str, value: str) -> None:
    kind = getattr(resource, "RLIMIT_" + name.upper(), None)
    if kind is None:
        return
    soft, _, hard = str(value).partition(":")
    numbers = [resource.RLIM_INFINITY if one in ("-1", "infinity") else int(one) for one in (soft, hard or soft)]
    try:
        resource.setrlimit(kind, (numbers[0], numbers[1]))
    except (OSError, ValueError):
        # As much as may be had, like systemd: a box may hold even root to less.
        most = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most, most))


def _leave_streams() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.chdir("/")


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _read_json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: str, text: str) -> None:
    with open(path + ".new", "w", encoding="utf-8") as stream:
        stream.write(text)
    os.rename(path + ".new", path)


def _say(text: str) -> int:
    sys.stderr.write(text + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
