"""The transport against real sshd, sudo and systemd, and against hosts that break."""

from __future__ import annotations

import hashlib
import io
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from r1fleet import lab as labs
from r1fleet.cli.connect import connector
from r1fleet.errors import FleetError, HostFailed, HostUnreachable
from r1fleet.inventory import Host
from r1fleet.lab import LOCKED_PASSWORD, Lab
from r1fleet.transport import Become, Blob, Call, Session, Transport

pytestmark = pytest.mark.lab

LOST_SECONDS = 15
PROBE = """
from r1fleet.agent import files
ARGUMENTS = {"sha256": {"type": "str"}, "name": {"type": "str"}}
def run(ctx):
    if ctx.args["name"]:
        ctx.progress("half way")
        return {"exists": __import__("os").path.exists(ctx.args["name"]), "name": ctx.args["name"]}
    path = ctx.blob(ctx.args["sha256"])
    return {"size": __import__("os").path.getsize(path), "path": path, "sha256": files.sha256(path)}
"""
WORK = """
import sys, time
from r1fleet.cli.connect import connector
from r1fleet.inventory import Host
from r1fleet.transport import Become, Call
transport = connector()
try:
    session = transport.open(Host("h1", {variables!r}))
    session.run(Call("ping", become=Become()))
    print("running", flush=True)
    session.run(Call("command", {{"argv": ["sleep", {seconds!r}]}}, become={become}))
except KeyboardInterrupt:
    print("interrupted", flush=True)
finally:
    transport.close()
"""


@pytest.fixture(scope="module")
def fleet(lab_name: str) -> Iterator[Lab]:
    name = f"{lab_name}-transport"
    yield labs.up(name, hosts=2)
    labs.down(name)


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = connector(modules={"probe": PROBE})
    yield transport
    transport.close()


def variables(fleet: Lab, name: str, **more: Any) -> dict[str, Any]:
    return {
        "ansible_host": fleet.host(name).address,
        "ansible_user": "lab",
        "ansible_ssh_private_key_file": str(fleet.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={fleet.known_hosts} -o ConnectTimeout=5",
        **more,
    }


def host(fleet: Lab, name: str = "h1", **more: Any) -> Host:
    return Host(name, variables(fleet, name, **more))


def as_root(fleet: Lab, name: str, script: str) -> str:
    argv = fleet.ssh(name, script, user="root").argv
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120).stdout


def add_user(fleet: Lab, name: str, *, shell: str = "/bin/bash", forced: str = "", bashrc: str = "") -> str:
    public = fleet.key.with_suffix(".pub").read_text().strip()
    line = f'command="{forced}" {public}' if forced else public
    as_root(
        fleet,
        "h2",
        f"useradd -m -s {shell} {name}; cd ~{name}; mkdir -p .ssh; echo {shlex.quote(line)} > .ssh/authorized_keys; "
        f"echo {shlex.quote(bashrc)} > .bashrc; chown -R {name}: .",
    )
    return name


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def runs(fleet: Lab, seconds: str) -> bool:
    return "sleep" in as_root(fleet, "h1", f"ps -eo args | grep '[s]leep {seconds}' || true")


def agents(fleet: Lab, name: str) -> int:
    return int(as_root(fleet, name, "ps -eo args | grep -c '[b]inascii' || true"))


def error_of(run: Callable[[], object]) -> FleetError:
    with pytest.raises(FleetError) as caught:
        run()
    assert caught.value.hint
    return caught.value


# --- calls -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [None, Become()])
def test_calls_of_two_identities_end_in_the_order_in_which_they_were_given(
    fleet: Lab, transport: Transport, first: Become | None
) -> None:
    session = transport.open(host(fleet), first)
    ended: list[int] = []
    futures = []
    for number in range(20):
        become = Become() if number % 3 else None
        future = session.submit(Call("ping", {"data": str(number)}, become=become))
        future.add_done_callback(partial(lambda number, _: ended.append(number), number))
        futures.append(future)
    assert [future.result(30)["ping"] for future in futures] == [str(number) for number in range(20)]
    assert ended == sorted(ended)


@pytest.mark.parametrize("first", [None, Become()])
@pytest.mark.parametrize("become", [None, Become()])
def test_content_travels_when_the_host_asks_and_leaves_nothing_behind(
    fleet: Lab, transport: Transport, become: Become | None, first: Become | None
) -> None:
    content = bytes(range(256)) * 20_000
    sha256 = hashlib.sha256(content).hexdigest()
    opened: list[int] = []

    def source() -> io.BytesIO:
        opened.append(1)
        return io.BytesIO(content)

    session = transport.open(host(fleet), first)
    blob = Blob(sha256, len(content), source)
    session.run(Call("ping", become=become, blobs=(blob,)))
    assert not opened
    reply = session.run(Call("probe", {"sha256": sha256}, become=become, blobs=(blob,)))
    assert (reply["size"], reply["sha256"], len(opened)) == (len(content), sha256, 1)
    assert as_root(fleet, "h1", f"ls {reply['path']} 2>/dev/null || true") == ""
    session.close()
    assert as_root(fleet, "h1", "ls -d /tmp/r1fleet-* /var/tmp/r1fleet-* 2>/dev/null || true") == ""


@pytest.mark.parametrize("what", ["grown", "overwritten", "truncated"])
def test_a_file_that_changes_under_way_is_refused(fleet: Lab, transport: Transport, tmp_path: Path, what: str) -> None:
    content = bytes(200_000)
    path = tmp_path / "file"
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    after = {"grown": content + b"more", "overwritten": content[:-1] + b"x", "truncated": content[:150_000]}

    class Changing(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size) or b""
            path.write_bytes(after[what])  # while it is being read
            return data

    blob = Blob(sha256, len(content), lambda: Changing(path))
    session = transport.open(host(fleet))
    copy = {"dest": "/tmp/copied", "_entries": [{"path": "", "kind": "file", "sha256": sha256, "size": len(content)}]}
    for module, args in (("probe", {"sha256": sha256}), ("copy", copy)):
        reply = session.run(Call(module, args, blobs=(blob,)))
        assert "has its file changed meanwhile?" in reply["msg"], reply
        path.write_bytes(content)
    assert as_root(fleet, "h1", "ls -A /tmp | grep -e copied -e r1fleet- || true") == ""


def test_a_file_that_only_root_reads_is_fetched_by_root(fleet: Lab, transport: Transport, tmp_path: Path) -> None:
    as_root(fleet, "h1", "head -c 3000000 /dev/urandom > /root/big; chmod 600 /root/big")
    session = transport.open(host(fleet))
    assert session.fetch("/root/big", tmp_path / "big")["failed"]
    assert list(tmp_path.iterdir()) == []
    reply = session.fetch("/root/big", tmp_path / "big", become=Become())
    content = (tmp_path / "big").read_bytes()
    assert (reply["size"], reply["sha256"]) == (3_000_000, hashlib.sha256(content).hexdigest())


def test_names_that_are_not_utf8_survive_both_ways(fleet: Lab, transport: Transport) -> None:
    as_root(fleet, "h1", r"touch $(printf '/tmp/caf\351')")
    lines: list[str] = []
    name = "/tmp/caf\udce9"
    reply = transport.open(host(fleet)).submit(Call("probe", {"name": name}), lines.append).result(30)
    assert (reply["exists"], reply["name"], lines) == (True, name, ["half way"])


def test_a_plain_command_has_its_own_channel(fleet: Lab, transport: Transport) -> None:
    session = transport.open(host(fleet))
    done = session.execute("cat; echo problem >&2; exit 3", stdin=b"data")
    assert (done.rc, done.stdout, done.stderr) == (3, b"data", b"problem\n")
    assert "timed out" in str(error_of(lambda: session.execute("sleep 30", timeout=0.5)))


def test_a_cancelled_call_stops_on_the_host_and_the_next_one_runs(fleet: Lab, transport: Transport) -> None:
    session = transport.open(host(fleet))
    for become in (None, Become()):
        future = session.submit(Call("command", {"argv": ["sleep", "4141"]}, become=become))
        assert eventually(lambda: runs(fleet, "4141"))
        assert future.cancel()
        assert session.submit(Call("ping", become=become)).result(30)["ping"] == "pong"
        assert not runs(fleet, "4141")


# --- identities ------------------------------------------------------------------------------------


def test_an_agent_that_starts_as_root_acts_as_the_login_would(fleet: Lab, transport: Transport) -> None:
    # Each login has its own number and port; sudo tells who called it, and Python sets LC_CTYPE for what it starts.
    ask = "id; pwd; umask; env | grep -v -e ^SSH_ -e ^XDG_SESSION_ID -e ^SUDO_ -e ^LC_CTYPE | sort"
    for become in (None, Become(), Become("games")):
        said = [
            transport.open(host(fleet), first).run(Call("shell", {"cmd": ask}, become=become))["stdout"]
            for first in (None, Become())
        ]
        assert said[0].startswith("uid="), said
        assert said[0] == said[1]
    whole = transport.open(host(fleet), Become()).run(Call("shell", {"cmd": "env"}))["stdout"]
    assert "SSH_CONNECTION=" in whole
    assert "SUDO_" not in whole


def test_starting_as_root_at_once_starts_one_agent_only(fleet: Lab, transport: Transport) -> None:
    counts = []
    for first in (None, Become()):
        session = transport.open(host(fleet), first)
        session.run(Call("ping", become=Become()))
        counts.append(int(as_root(fleet, "h1", "pgrep -cx python3")))
        session.close()
    assert counts == [2, 1]


@pytest.mark.parametrize("first", [None, Become()])
def test_sudo_with_no_wrong_and_right_password(fleet: Lab, transport: Transport, first: Become | None) -> None:
    session = transport.open(host(fleet, ansible_user="locked"), first)

    def ping(password: str | None) -> Any:
        return session.run(Call("ping", become=Become(password=password)))

    missing = error_of(lambda: ping(None))
    assert isinstance(missing, HostFailed)
    assert "asks for a password" in str(missing)
    assert "-K" in str(missing)
    assert "refused the password" in str(error_of(lambda: ping("not this")))
    tries = "journalctl --sync; journalctl -q _COMM=sudo | grep -c 'locked.*incorrect password attempt' || true"
    before = int(as_root(fleet, "h1", tries))
    assert "refused the password" in str(error_of(lambda: ping("not this")))
    assert "refused the password" in str(error_of(lambda: ping("nor this")))
    assert int(as_root(fleet, "h1", tries)) == before + 1
    assert ping(LOCKED_PASSWORD)["ping"] == "pong"
    assert LOCKED_PASSWORD not in as_root(fleet, "h1", "ps -eo args; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'")


def test_identities_that_cannot_be_had(fleet: Lab, transport: Transport) -> None:
    session = transport.open(host(fleet))
    assert "no user nobody-here" in str(error_of(lambda: session.run(Call("ping", become=Become("nobody-here")))))
    assert "su is not supported" in str(error_of(lambda: session.run(Call("ping", become=Become(method="su")))))
    assert session.run(Call("ping"))["ping"] == "pong"


# --- hosts that break ------------------------------------------------------------------------------


WORDS = {
    "blackhole": "does not answer within",
    "hang": "no SSH server answers",
    "crash": "refuses connections",
}


@pytest.mark.parametrize("fault", ["blackhole", "hang", "crash"])
def test_a_host_lost_in_the_middle_is_unreachable_and_the_other_goes_on(
    fleet: Lab, transport: Transport, fault: str
) -> None:
    other, lost = transport.open(host(fleet)), transport.open(host(fleet, "h2"))
    running = [lost.submit(Call("command", {"argv": ["sleep", "60"]})) for _ in range(2)]
    try:
        labs.break_host(fleet.name, "h2", fault)
        for future in running:
            assert isinstance(future.exception(LOST_SECONDS), HostUnreachable)
        assert other.submit(Call("ping")).result(5)["ping"] == "pong"
        assert isinstance(lost.submit(Call("ping")).exception(5), HostUnreachable)
        assert WORDS[fault] in str(error_of(lambda: transport.open(host(fleet, "h2"))))
    finally:
        labs.heal_host(fleet.name, "h2")
    assert transport.open(host(fleet, "h2")).run(Call("ping"))["ping"] == "pong"


def test_a_host_lost_while_content_streams_is_unreachable(fleet: Lab, transport: Transport) -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    lost = transport.open(host(fleet, "h2"))
    blob = Blob("0" * 64, 1, Endless)  # type: ignore[arg-type]
    future = lost.submit(Call("probe", {"sha256": "0" * 64}, blobs=(blob,)))
    try:
        assert eventually(lambda: "blob" in as_root(fleet, "h2", "find /tmp /var/tmp -name blob -size +1M"))
        labs.break_host(fleet.name, "h2", "blackhole")
        assert isinstance(future.exception(LOST_SECONDS), HostUnreachable)
    finally:
        labs.heal_host(fleet.name, "h2")


def test_a_reboot_under_our_feet(fleet: Lab, transport: Transport) -> None:
    session = transport.open(host(fleet, "h2"))
    future = session.submit(Call("command", {"argv": ["sleep", "60"]}))
    labs.break_host(fleet.name, "h2", "reboot")
    assert isinstance(future.exception(LOST_SECONDS), HostUnreachable)
    labs.heal_host(fleet.name, "h2")
    assert transport.open(host(fleet, "h2")).run(Call("ping"))["ping"] == "pong"


# --- nothing lives on ------------------------------------------------------------------------------


@pytest.mark.parametrize("become", [None, Become()])
def test_close_ends_what_runs(fleet: Lab, become: Become | None) -> None:
    transport = connector()
    session = transport.open(host(fleet))
    future = session.submit(Call("command", {"argv": ["sleep", "4242"]}, become=become))
    assert eventually(lambda: runs(fleet, "4242"))
    transport.close()
    assert isinstance(future.exception(5), HostUnreachable)
    assert eventually(lambda: not runs(fleet, "4242") and agents(fleet, "h1") == 0)


@pytest.mark.parametrize("become", ["None", "Become()"])
@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGKILL, "4343"), (signal.SIGINT, "4444")])
def test_no_child_outlives_its_controller(fleet: Lab, number: signal.Signals, seconds: str, become: str) -> None:
    script = WORK.format(variables=variables(fleet, "h1"), seconds=seconds, become=become)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as controller:
        assert controller.stdout is not None
        assert controller.stderr is not None
        assert controller.stdout.readline() == b"running\n"
        assert eventually(lambda: runs(fleet, seconds))
        controller.send_signal(number)
        controller.wait(20)
        assert controller.stderr.read() == b""
        assert controller.stdout.read() == (b"interrupted\n" if number == signal.SIGINT else b"")
    assert eventually(lambda: not runs(fleet, seconds) and agents(fleet, "h1") == 0)


# --- strange hosts ---------------------------------------------------------------------------------


def open_as(fleet: Lab, transport: Transport, user: str) -> Session:
    return transport.open(host(fleet, "h2", ansible_user=user))


def test_a_noisy_login_shell_does_no_harm(fleet: Lab, transport: Transport) -> None:
    user = add_user(fleet, "noisy", bashrc="seq 1 20000; echo error >&2; stty sane; export LC_ALL=de_DE.ISO-8859-1")
    session = open_as(fleet, transport, user)
    assert session.run(Call("probe", {"name": "/tmp/ü"}))["name"] == "/tmp/ü"


def test_fish_as_login_shell(fleet: Lab, transport: Transport) -> None:
    env = f"http_proxy={fleet.proxy} DEBIAN_FRONTEND=noninteractive"
    as_root(fleet, "h2", f"({env} apt-get -q update && {env} apt-get -q install -y --no-install-recommends fish) 2>&1")
    session = open_as(fleet, transport, add_user(fleet, "swimmer", shell="/usr/bin/fish"))
    assert session.run(Call("ping"))["ping"] == "pong"


def test_a_forced_command_is_named(fleet: Lab, transport: Transport) -> None:
    user = add_user(fleet, "forced", forced="echo only backups here")
    assert "only backups here" in str(error_of(lambda: open_as(fleet, transport, user)))


def test_one_session_only(fleet: Lab, transport: Transport) -> None:
    user = add_user(fleet, "single")
    as_root(
        fleet,
        "h2",
        "printf 'Match User single\\n  MaxSessions 1\\nMatch all\\n' > /etc/ssh/sshd_config.d/single.conf; "
        "sed -i '/^Subsystem/d' /etc/ssh/sshd_config; systemctl restart ssh",
    )
    session = open_as(fleet, transport, user)
    done = session.execute("cat; whoami; exit 4", stdin=b"I am ")
    assert (done.rc, done.stdout) == (4, b"I am single\n")
    assert session.run(Call("ping"))["ping"] == "pong"


def test_read_only_temporary_folders(fleet: Lab, transport: Transport) -> None:
    as_root(fleet, "h2", "for d in /tmp /var/tmp; do mount -t tmpfs -o ro none $d; done")
    sha256 = hashlib.sha256(b"content").hexdigest()
    blob = Blob(sha256, 7, lambda: io.BytesIO(b"content"))
    try:
        assert transport.open(host(fleet, "h2")).run(Call("probe", {"sha256": sha256}, blobs=(blob,)))["size"] == 7
    finally:
        as_root(fleet, "h2", "umount /tmp /var/tmp")


def test_no_python_is_one_message_and_plain_commands_can_mend_it(fleet: Lab, transport: Transport) -> None:
    as_root(fleet, "h2", "mkdir /root/away; mv /usr/bin/python3* /root/away/")
    try:
        session = transport.open(host(fleet, "h2", ansible_user="root"))
        missing = error_of(lambda: session.run(Call("ping")))
        assert isinstance(missing, HostUnreachable)
        assert "has no Python 3" in str(missing)
        assert "apt-get install -y python3" in str(missing)
        assert session.execute("mv /root/away/* /usr/bin/").rc == 0
        assert session.run(Call("ping"))["ping"] == "pong"
    finally:
        as_root(fleet, "h2", "mv /root/away/* /usr/bin/ 2>/dev/null; rmdir /root/away")


# --- keys ------------------------------------------------------------------------------------------


def trusting(fleet: Lab, known_hosts: Path, **more: Any) -> Host:
    return host(fleet, ansible_ssh_common_args=f"-o UserKnownHostsFile={known_hosts}", **more)


def test_an_unknown_key_is_refused_with_its_fingerprint_and_learnt_only_when_asked(
    fleet: Lab, transport: Transport, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    true = as_root(fleet, "h1", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    refused = error_of(lambda: transport.open(trusting(fleet, known)))
    assert isinstance(refused, HostUnreachable)
    assert true in str(refused)
    assert "--accept-new" in str(refused)
    assert not known.exists()
    learning = connector(accept_new=True)
    learning.open(trusting(fleet, known)).close()
    assert transport.open(trusting(fleet, known)).run(Call("ping"))["ping"] == "pong"


def test_a_changed_key_is_refused_even_when_learning(fleet: Lab, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    address, line = fleet.host("h1").address, (tmp_path / "other.pub").read_text()
    known.write_text(f"{address} {line}")
    refused = error_of(lambda: connector(accept_new=True).open(trusting(fleet, known)))
    assert "HAS CHANGED" in str(refused)
    assert str(refused).count("SHA256:") == 2
    assert f"ssh-keygen -f {known} -R" in str(refused)
    assert known.read_text() == f"{address} {line}"


def test_a_gateway_is_held_to_the_same_keys(fleet: Lab, transport: Transport, tmp_path: Path) -> None:
    jump = f"-J lab@{fleet.host('h2').address}"
    common = f"{jump} -o UserKnownHostsFile={fleet.known_hosts}"
    assert transport.open(host(fleet, ansible_ssh_common_args=common)).run(Call("ping"))["ping"] == "pong"
    known = tmp_path / "known_hosts"
    address = fleet.host("h1").address
    lines = [line for line in fleet.known_hosts.read_text().splitlines() if address in line]
    known.write_text("\n".join(lines) + "\n")
    common = f"{jump} -o UserKnownHostsFile={known}"
    assert "is not known" in str(error_of(lambda: transport.open(host(fleet, ansible_ssh_common_args=common))))


def test_causes_are_told_apart(fleet: Lab, transport: Transport, tmp_path: Path) -> None:
    assert "refuses the login of stranger" in str(
        error_of(lambda: transport.open(host(fleet, ansible_user="stranger")))
    )
    assert "refuses connections" in str(error_of(lambda: transport.open(host(fleet, ansible_port=2))))
    nowhere = host(fleet, ansible_host="host.invalid")
    assert "has no address" in str(error_of(lambda: transport.open(nowhere)))
    keyless = host(fleet, ansible_ssh_private_key_file=str(tmp_path / "none"))
    assert "none, which is not there" in str(error_of(lambda: transport.open(keyless)))
