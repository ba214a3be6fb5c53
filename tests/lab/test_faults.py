"""What users see when hosts break, are odd or refuse: the first line is the cause, the hint says what to do."""

from __future__ import annotations

import fcntl
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from r1fleet import lab as labs
from r1fleet.lab import Lab
from tests.lab.ground import Ground, eventually, said
from tests.lab.reach import controller, r1fleet

LOST_SECONDS = 15
OK, FAILED, UNREACHABLE, INTERRUPTED = 0, 2, 4, 99
SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"


@pytest.fixture(scope="module")
def fleet(lab_name: str) -> Iterator[Lab]:
    name = f"{lab_name}-faults"
    labs.down(name)
    yield labs.up(name, hosts=3)
    labs.down(name)


@pytest.fixture
def ground(fleet: Lab, tmp_path: Path) -> Ground:
    return Ground(fleet, tmp_path)


# --- hosts that are lost ---------------------------------------------------------------------------


SLOW = """
- name: First
  command: "true"
- name: Long
  command: sleep {seconds}
  when: inventory_hostname == "h3"
- name: Last
  command: "true"
"""


@pytest.mark.parametrize(("fault", "cause"), [("blackhole", "silent for 10 seconds"), ("reboot", "closed by the host")])
def test_a_host_lost_in_a_task_is_named_and_the_others_finish(ground: Ground, fault: str, cause: str) -> None:
    seconds = {"blackhole": 4001, "reboot": 4002}[fault]
    path = ground.write(SLOW.format(seconds=seconds))
    with controller("play", str(path), "-i", str(ground.lab.inventory)) as running:
        try:
            assert eventually(lambda: ground.alive("h3", f"sleep {seconds}"))
            begin = time.monotonic()
            labs.break_host(ground.lab.name, "h3", fault)
            output = running.communicate(timeout=60)[0]
            assert time.monotonic() - begin < LOST_SECONDS
        finally:
            labs.heal_host(ground.lab.name, "h3")
    assert running.returncode == UNREACHABLE
    said(
        subprocess.CompletedProcess([], 0, output, ""),
        "task: Long",
        f"unreachable: h3: Long: lost h3: .*{cause}",
        re.escape(f"at {path}:7:7"),
        "hint: .*see whether the host.*",
        "task: Last",
        "changed: h[12]: Last",
        "changed: h[12]: Last",
        "recap: h3: ok=1 changed=1 unreachable=1 failed=0 .*",
    )


def test_a_hung_sshd_is_named_and_the_others_finish(ground: Ground) -> None:
    labs.break_host(ground.lab.name, "h3", "hang")
    try:
        done = ground.play(SLOW.format(seconds=4003), hosts="h2,h3")
    finally:
        labs.heal_host(ground.lab.name, "h3")
    assert done.returncode == UNREACHABLE
    said(
        done,
        r"unreachable: h3: First: h3 \(.*:22\) accepts connections, but no SSH server answers on them within 10 s",
        "at .*:5:7",
        "hint: is its sshd hung, .*",
        "changed: h2: Last",
        "recap: h3: ok=0 changed=0 unreachable=1 .*",
    )


def test_what_a_lost_host_ran_ends_there(ground: Ground) -> None:
    assert eventually(lambda: not ground.alive("h3", "[b]inascii") and not ground.alive("h3", "sleep 400"), 40)


# --- sudo ------------------------------------------------------------------------------------------


BECOME = """
- name: Nobody in particular
  command: id -un
  become: false
- name: As root
  command: id -un
"""


@pytest.mark.parametrize(
    ("password", "cause", "hint"),
    [
        ("", "sudo on h2 asks for a password to become root", "give it with -K, or set ansible_become_password"),
        ("not this", "sudo on h2 refused the password for root", "give the right one with -K"),
    ],
)
def test_sudo_that_says_no(ground: Ground, password: str, cause: str, hint: str) -> None:
    given = ("-e", f"ansible_become_password='{password}'") if password else ()
    done = ground.play(BECOME, "-e", "ansible_user=locked", *given)
    assert done.returncode == FAILED
    said(done, "changed: h2: Nobody in particular", f"failed: h2: As root: {cause}", "at .*:8:7", f"hint: {hint}")
    assert password not in done.stdout or not password


# --- disks -----------------------------------------------------------------------------------------


def test_a_full_disk_leaves_nothing_half_written(ground: Ground) -> None:
    (ground.folder / "big").write_bytes(os.urandom(6_000_000))
    ground.root("h2", "mkdir -p /mnt/small && mount -t tmpfs -o size=4m none /mnt/small && echo old > /mnt/small/big")
    try:
        done = ground.play("- name: Copy\n  copy: {src: big, dest: /mnt/small/big}")
        left = ground.root("h2", "cd /mnt/small && ls -A && cat big; ls -d /tmp/r1fleet* /var/tmp/r1fleet* 2>&1; true")
    finally:
        ground.root("h2", "umount /mnt/small")
    assert done.returncode == FAILED
    said(done, "failed: h2: Copy: .*/mnt/small: No space left on device", "at .*:5:7")
    assert [line for line in left.splitlines() if "No such file" not in line] == ["big", "old"]


def test_apt_on_a_full_disk_leaves_no_half_installed_package(ground: Ground) -> None:
    archives = "/var/cache/apt/archives"
    ground.root("h2", f"mount -t tmpfs -o size=16k none {archives}")
    try:
        done = ground.play(
            '- name: Install\n  apt: {name: bc, update_cache: true}\n  environment: "{{ proxy_env }}"', hosts="h2"
        )
        left = ground.root("h2", f"dpkg --audit; find {archives} -name '*.deb'; dpkg -l bc 2>&1 | grep '^i'; true")
    finally:
        ground.root("h2", f"umount {archives}")
    assert done.returncode == FAILED
    said(done, "failed: h2: Install: .*(free space in|No space left).*", "at .*:5:7")
    assert left == ""


def test_a_read_only_root_is_named_and_commands_still_run(ground: Ground) -> None:
    ground.root("h2", "journalctl --relinquish-var; mount -o remount,bind,ro /")
    try:
        done = ground.play(
            "- name: Run\n  command: id -un\n- name: Copy\n  copy: {content: new, dest: /etc/hostname}", hosts="h2"
        )
    finally:
        ground.root("h2", "mount -o remount,bind,rw / && journalctl --flush")
    assert done.returncode == FAILED
    said(done, "changed: h2: Run", "failed: h2: Copy: copy: Read-only file system: /etc", "at .*:7:7")
    assert ground.root("h2", "cat /etc/hostname; ls -A /etc | grep r1fleet; true") == "h2"


def test_read_only_temporary_folders_do_not_matter(ground: Ground) -> None:
    ground.root("h2", "for d in /tmp /var/tmp; do mount -t tmpfs -o ro none $d; done")
    try:
        done = ground.play("- copy: {content: content, dest: /root/copied}\n- shell: cat /root/copied")
    finally:
        ground.root("h2", "umount /tmp /var/tmp")
    assert (done.returncode, ground.root("h2", "cat /root/copied")) == (OK, "content")


# --- hosts without what we need --------------------------------------------------------------------


def test_no_python_is_one_message_whose_command_mends_it(ground: Ground) -> None:
    ground.root("h2", "mkdir /root/away; mv /usr/bin/python3* /root/away/")
    try:
        missing = ground.play("- name: Ask\n  ping:\n- name: More\n  ping:")
        command = "apt-get install -y python3"
        assert missing.returncode == UNREACHABLE
        said(missing, "unreachable: h2: Ask: h2 has no Python 3", "at .*:5:7", f"hint: ssh h2 sudo {command} .*")
        assert "More" not in missing.stdout
        # Its files were moved away, its packages were not: the package manager is told so.
        ground.root(
            "h2",
            "cd /usr/local/bin; printf '#!/bin/sh\nmv /root/away/* /usr/bin/\n' > apt-get; chmod 755 apt-get",
        )
        mended = ground.play(f"- name: Python\n  raw: {command}\n- name: Ask\n  ping:\n- name: Facts\n  setup:")
    finally:
        ground.root("h2", "rm -f /usr/local/bin/apt-get; mv -n /root/away/* /usr/bin/ 2>/dev/null; rm -rf /root/away")
    assert mended.returncode == OK
    said(mended, "changed: h2: Python", "ok: h2: Ask", "ok: h2: Facts", "recap: h2: ok=3 .*")


FAKE = """#!/bin/sh
shift 4
exec /usr/bin/python3 -c 'import sys; sys.version_info = (3, 5, 2); sys.version = "3.5.2 (old)"; entry = sys.argv[2]
del sys.argv[1:3]; exec(entry)' "$@"
"""


def test_a_python_that_is_too_old_is_passed_over(ground: Ground) -> None:
    script = f"printf %s {shlex.quote(FAKE)} > /usr/local/bin/python3; chmod 755 /usr/local/bin/python3"
    ground.root("h2", script)
    ask = "- name: Ask\n  ping:"
    try:
        found = ground.play(ask, "-e", "ansible_python_interpreter=auto", become=False)
        only = ground.play(ask, "-e", "ansible_python_interpreter=/usr/local/bin/python3", become=False)
    finally:
        ground.root("h2", "rm /usr/local/bin/python3")
    assert found.returncode == OK
    said(found, "ok: h2: Ask")
    assert only.returncode == UNREACHABLE
    said(only, "unreachable: h2: Ask: h2 has only Python 3.5.2, and 3.7 or newer is needed", "hint: .*")


def test_odd_login_shells_and_limits_do_no_harm_and_a_forced_command_is_named(ground: Ground) -> None:
    public = ground.lab.key.with_suffix(".pub").read_text().strip()
    users = {
        "noisy": ("/bin/bash", "", "seq 1 5000; echo complaint >&2; export LC_ALL=de_DE.ISO-8859-1 LANGUAGE=de"),
        "swimmer": ("/usr/bin/fish", "", ""),
        "single": ("/bin/bash", "", ""),
        "forced": ("/bin/bash", 'command="echo only backups here" ', ""),
    }
    limits = r"Match User single\n  MaxSessions 1\nMatch all\n"
    env = f"http_proxy={ground.lab.proxy} DEBIAN_FRONTEND=noninteractive"
    ground.root(
        "h2",
        f"({env} apt-get -q update && {env} apt-get -q install -y --no-install-recommends fish) >&2; "
        f"printf '{limits}' > /etc/ssh/sshd_config.d/single.conf; sed -i '/^Subsystem/d' /etc/ssh/sshd_config; "
        "systemctl restart ssh",
    )
    for name, (shell, forced, bashrc) in users.items():
        ground.root(
            "h2",
            f"useradd -m -s {shell} {name} && cd ~{name} && mkdir .ssh && echo {shlex.quote(bashrc)} > .bashrc && "
            f"echo {shlex.quote(forced + public)} > .ssh/authorized_keys && chown -R {name}: . && "
            f"echo '{name} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{name}",
        )
    hosts = {name: {"ansible_user": name, "ansible_host": str(ground.lab.host("h2").address)} for name in users}
    inventory = ground.folder / "odd.yaml"
    shared = yaml.safe_load(ground.lab.inventory.read_text())["all"]["vars"]
    inventory.write_text(yaml.safe_dump({"all": {"vars": shared, "hosts": hosts}}))
    (ground.folder / "ü file").write_bytes(b"caf\xe9")
    path = ground.write(
        "- name: Copy\n  copy: {src: ü file, dest: '/root/{{ inventory_hostname }} ü'}\n"
        "- name: Raw\n  raw: id -un\n  become: false\n- name: As root\n  shell: echo ä; id -un"
    )
    done = r1fleet("play", str(path), "-i", str(inventory))
    assert done.returncode == UNREACHABLE
    said(
        done,
        "unreachable: forced: Copy: the agent on forced could not be started; the host said: only backups here",
        "at .*:5:7",
        "hint: .*forced command.*",
    )
    for name in ("noisy", "swimmer", "single"):
        said(done, f"changed: {name}: Copy", f"changed: {name}: Raw", f"changed: {name}: As root")
        assert ground.root("h2", f"od -An -c '/root/{name} ü'").split() == ["c", "a", "f", "351"]


# --- ends in the middle ----------------------------------------------------------------------------


HOLD = """
- name: First
  command: "true"
- name: Hold
  command: sleep 5151
"""


def held(ground: Ground) -> bool:
    return all(ground.alive(host, "sleep 5151") for host in ("h1", "h2"))


def nothing_left(ground: Ground) -> bool:
    return not any(ground.alive(host, what) for host in ("h1", "h2") for what in ("sleep 5151", "[b]inascii"))


def test_ctrl_c_in_a_terminal_ends_what_runs_tells_what_was_done_and_leaves_the_terminal_sane(ground: Ground) -> None:
    path = ground.write(HOLD, hosts="h1,h2")
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    command = [sys.executable, "-m", "r1fleet", "play", str(path), "-i", str(ground.lab.inventory)]
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    ) as running:
        output = b""
        pressed = False
        while running.poll() is None or select.select([ours], [], [], 0)[0]:
            if select.select([ours], [], [], 0.2)[0]:
                output += os.read(ours, 65536)
            if not pressed and b"Hold" in output and held(ground):
                os.write(ours, b"\x03")
                pressed = True
    assert running.returncode == INTERRUPTED
    assert termios.tcgetattr(theirs) == before
    assert output.rfind(SHOW_CURSOR) > output.rfind(HIDE_CURSOR) >= 0
    text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", output).decode()
    assert 'error: interrupted in task "Hold"; stopped on h1 h2' in text
    assert f"at {path}:7:7" in text
    assert "hint: run it again" in text
    assert re.search(r"h1 +1 +1 +0", text)
    assert "Traceback" not in text
    for end in (ours, theirs):
        os.close(end)
    assert eventually(lambda: nothing_left(ground))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_no_remote_child_outlives_a_controller_that_is_killed(ground: Ground, number: signal.Signals) -> None:
    path = ground.write(HOLD, hosts="h1,h2")
    with controller("play", str(path), "-i", str(ground.lab.inventory)) as running:
        assert eventually(lambda: held(ground))
        running.send_signal(number)
        running.communicate(timeout=20)
    assert running.returncode == -number
    assert eventually(lambda: nothing_left(ground))


# --- the way in ------------------------------------------------------------------------------------


def test_ways_in_by_ssh_config(ground: Ground) -> None:
    home = ground.folder / "home"
    (home / ".ssh" / "conf.d").mkdir(parents=True)
    target, gateway = (ground.lab.host(name).address for name in ("h2", "h1"))
    login = f"  User lab\n  IdentityFile {ground.lab.key}\n  UserKnownHostsFile {ground.lab.known_hosts}\n"
    netcat = (
        f"ssh -F /dev/null -i {ground.lab.key} -o UserKnownHostsFile={ground.lab.known_hosts} -W %h:%p lab@{gateway}"
    )
    (home / ".ssh" / "config").write_text(f"Include conf.d/*.conf\nHost gate\n  HostName {gateway}\n{login}")
    (home / ".ssh" / "conf.d" / "lab.conf").write_text(
        f"Host jumped commanded\n  HostName {target}\n{login}"
        f"Host jumped\n  ProxyJump gate\nHost commanded\n  ProxyCommand {netcat}\n"
    )
    inventory = ground.folder / "ways.yaml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"jumped": {}, "commanded": {}}}}))
    path = ground.write(
        "- name: Who asks\n  shell: echo $SSH_CLIENT | cut -d' ' -f1\n  register: who\n- debug: {var: who.stdout}",
        become=False,
    )
    done = r1fleet("play", str(path), "-i", str(inventory), HOME=str(home))
    assert done.returncode == OK, done.stdout + done.stderr
    assert done.stdout.count(f'"who.stdout": "{gateway}"') + done.stdout.count(f"who.stdout: {gateway}") == 2
