"""The lab itself: it comes up, breaks, heals, goes down, and leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from r1fleet import lab as labs
from r1fleet.cache import cache_dir
from r1fleet.errors import LabError
from r1fleet.events import Event
from r1fleet.lab import LOCKED_PASSWORD, LOCKED_USER, Lab
from r1fleet.lab.cgroups import detect
from r1fleet.lab.teardown import tear_down
from tests.lab.reach import answer, ask, banner, boot_id, controller, machine

LabFactory = Callable[..., Lab]


@pytest.fixture(scope="module")
def rough_lab(lab_name: str) -> Iterator[Lab]:
    """Two hosts that this module's tests may break, one after the other."""
    name = f"{lab_name}-rough"
    labs.down(name)  # a session that was killed may have left one
    yield labs.up(name, hosts=2, extra_vars={})
    labs.down(name)


def leftovers(lab: Lab) -> list[str]:
    """Return every trace of a lab that the machine still shows."""
    traces = {
        "mount": Path("/proc/mounts").read_text(),
        "namespace": machine("ip", "netns", "list"),
        "link": machine("ip", "-o", "link"),
        "rule": machine("ip", "rule"),
        "route": machine("ip", "-4", "route", "show", "table", "all"),
        "process": machine("ps", "-eww", "-o", "pid,args"),
        "nspawn": "\n".join(map(str, Path("/run/systemd/nspawn").glob("*/*"))),
        "cgroup": "\n".join(str(path) for path in Path("/sys/fs/cgroup").glob("**/r1lab*")),
    }
    marks = (f"{lab.cgroup}-", f"{lab.cgroup}\n", f"{lab.interface}:", f"{lab.interface} ", f"10.77.{lab.number}.")
    found = [
        f"{kind}: {line}"
        for kind, text in traces.items()
        for line in text.splitlines()
        if any(mark in f"{line}\n" for mark in marks) or str(lab.folder) in line
    ]
    return found + [f"file: {path}" for path in lab.folder.glob("**/*")]


def test_a_lab_that_is_up_is_left_alone(lab: Lab) -> None:
    before = [boot_id(lab, host.name) for host in lab.hosts]

    again = labs.up(lab.name, hosts=1, extra_vars={})

    assert again == lab
    assert [boot_id(lab, host.name) for host in lab.hosts] == before


def test_hosts_are_real_machines(lab: Lab) -> None:
    assert answer(lab, "h2", "hostname") == "h2"
    assert answer(lab, "h1", "systemctl is-system-running") == "running"
    assert answer(lab, "h1", "sudo -n id -u") == "0"
    assert answer(lab, "h1", "id -u", user="root") == "0"
    assert answer(lab, "h1", "cat /etc/machine-id") != answer(lab, "h2", "cat /etc/machine-id")
    shared_memory = int(answer(lab, "h1", "df --output=size -B1M /dev/shm | tail -1"))
    assert shared_memory >= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20 * 0.45
    assert not machine("ip", "netns", "identify", str(os.getpid())).strip()


def test_hosts_reach_each_other_and_nothing_else(lab: Lab) -> None:
    assert answer(lab, "h1", f"bash -c 'head -c 4 </dev/tcp/{lab.host('h2').address}/22'") == "SSH-"

    outside = ask(lab, "h1", "bash -c '</dev/tcp/192.0.2.1/80'")

    assert outside.returncode != 0
    assert "unreachable" in outside.stderr.lower() or "no route" in outside.stderr.lower()


def test_one_sudo_wants_a_password(lab: Lab) -> None:
    assert ask(lab, "h1", "sudo -n true", user=LOCKED_USER).returncode != 0
    assert ask(lab, "h1", "sudo -S -p '' true", user=LOCKED_USER, stdin="wrong\n").returncode != 0
    assert ask(lab, "h1", "sudo -S -p '' true", user=LOCKED_USER, stdin=f"{LOCKED_PASSWORD}\n").returncode == 0


def test_only_the_hosts_true_keys_are_accepted(lab: Lab, tmp_path: Path) -> None:
    keys = lab.known_hosts.read_text().splitlines()
    swapped = tmp_path / "known_hosts"
    swapped.write_text(f"{lab.hosts[0].address} {' '.join(keys[1].split()[1:])}\n")

    assert answer(lab, "h1", "true") == ""
    argv = [word.replace(str(lab.known_hosts), str(swapped)) for word in lab.ssh("h1", "true").argv]
    refused = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr
    assert lab.key.stat().st_mode & 0o777 == 0o600


def test_packages_come_through_the_proxy_and_only_packages(lab: Lab) -> None:
    proxy = f"http_proxy={lab.proxy} https_proxy={lab.proxy}"
    elsewhere = "import urllib.request as u; u.urlopen('http://example.com/')"

    answer(lab, "h1", f"sudo {proxy} apt-get update -qq", user="lab")
    answer(lab, "h1", f"sudo {proxy} DEBIAN_FRONTEND=noninteractive apt-get install -y -qq tree")
    refused = ask(lab, "h1", f'{proxy} python3 -c "{elsewhere}"')

    assert answer(lab, "h1", "tree --version").startswith("tree")
    assert "403" in refused.stderr


def test_the_inventory_names_what_both_engines_need(own_lab: LabFactory) -> None:
    made = own_lab(hosts=2, extra_vars={"deployments": {"tiny": {"hosts": "nodes"}}})

    data = yaml.safe_load(made.inventory.read_text())["all"]

    assert made.inventory.stem == made.name
    assert list(data["children"]["lab"]["children"]["nodes"]["hosts"]) == ["h1", "h2"]
    assert data["vars"]["ansible_ssh_private_key_file"] == str(made.key)
    assert data["vars"]["proxy_env"]["http_proxy"] == made.proxy
    assert data["vars"]["deployments"] == {"tiny": {"hosts": "nodes"}}


def test_no_address_of_the_lab_leaves_by_the_default_route(own_lab: LabFactory) -> None:
    made = own_lab()
    unallocated = f"10.77.{made.number}.200"
    assert "dev" not in machine("ip", "route", "get", unallocated)

    machine("ip", "link", "del", made.interface)
    assert "dev" not in machine("ip", "route", "get", made.hosts[0].address)

    labs.up(made.name, hosts=1, extra_vars={})
    assert answer(made, "h1", "hostname") == "h1"


def test_a_lab_grows_without_touching_its_hosts(own_lab: LabFactory) -> None:
    small = own_lab(hosts=1)
    before = boot_id(small, "h1")

    grown = labs.up(small.name, hosts=2, extra_vars={})

    assert boot_id(grown, "h1") == before
    assert answer(grown, "h2", "hostname") == "h2"


def test_two_labs_side_by_side_do_not_see_each_other(lab: Lab, own_lab: LabFactory) -> None:
    other = own_lab()
    target = lab.hosts[0].address

    crossing = ask(other, "h1", f"timeout 5 bash -c '</dev/tcp/{target}/22'")
    labs.down(other.name)

    assert crossing.returncode != 0
    assert leftovers(other) == []
    assert answer(lab, "h1", "hostname") == "h1"


def test_down_leaves_nothing_but_the_users_files(own_lab: LabFactory) -> None:
    made = own_lab(hosts=2)
    assert leftovers(made)
    theirs = made.inventory.parent / "group_vars.yaml"
    theirs.write_text("mine: true\n")
    for host, fault in (("h1", "hang"), ("h2", "kill")):
        labs.break_host(made.name, host, fault)

    labs.down(made.name)

    assert {line for line in leftovers(made) if not line.startswith("file: ")} == set()
    try:
        assert [path for path in made.folder.glob("**/*") if path.is_file()] == [theirs]
    finally:
        shutil.rmtree(made.folder)


def test_down_of_an_unknown_lab_says_so_and_is_no_error() -> None:
    seen: list[Event] = []

    labs.down("never-was", observer=seen.append)

    assert "never-was" in str(seen)


def refused(lab: Lab) -> None:
    with pytest.raises(ConnectionRefusedError):
        banner(lab, "h1")


def silent_to_packets(lab: Lab) -> None:
    with pytest.raises(OSError, match=r".*") as caught:
        banner(lab, "h1")
    assert isinstance(caught.value, TimeoutError) or caught.value.errno == errno.EHOSTUNREACH


def silent_after_connecting(lab: Lab) -> None:
    with pytest.raises(TimeoutError):
        banner(lab, "h1")
    seen = machine("ss", "-Htn", "dst", f"{lab.host('h1').address}:22")
    assert "SYN-SENT" not in seen


@pytest.mark.parametrize(
    ("fault", "visible"),
    [
        ("crash", refused),
        ("kill", silent_to_packets),
        ("blackhole", silent_to_packets),
        ("hang", silent_after_connecting),
    ],
)
def test_a_fault_shows_from_outside_and_heals(rough_lab: Lab, fault: str, visible: Callable[[Lab], None]) -> None:
    answer(rough_lab, "h1", f"echo {fault} >witness; sync")

    labs.break_host(rough_lab.name, "h1", fault)

    visible(rough_lab)
    assert [host.state for host in labs.status(rough_lab.name)[0].hosts] == [fault, "running"]
    assert banner(rough_lab, "h2") == b"SSH-"
    labs.heal_host(rough_lab.name, "h1")
    assert answer(rough_lab, "h1", "cat witness") == fault
    assert [host.state for host in labs.status(rough_lab.name)[0].hosts] == ["running", "running"]


def test_a_slow_link_lets_no_more_through_than_its_rate_either_way_and_heals(rough_lab: Lab) -> None:
    megabyte = "x" * 1_000_000

    labs.break_host(rough_lab.name, "h1", "slow", rate="8mbit")

    assert [host.state for host in labs.status(rough_lab.name)[0].hosts] == ["slow 8mbit", "running"]
    for command, given in (("head -c 1000000 /dev/zero", ""), ("wc -c", megabyte)):
        began = time.monotonic()
        ask(rough_lab, "h1", command, stdin=given)
        assert time.monotonic() - began > 0.9
    labs.heal_host(rough_lab.name, "h1")
    lab = rough_lab
    shaped = [(lab.host("h1").namespace, "eth0"), (lab.switch, "h1")]
    assert not any("tbf" in machine("tc", "-n", where, "qdisc", "show", "dev", name) for where, name in shaped)


@pytest.mark.parametrize(("fault", "rate"), [("slow", ""), ("slow", "20"), ("slow", "1kbit"), ("crash", "20mbit")])
def test_only_a_slow_link_has_a_rate_and_it_needs_one(rough_lab: Lab, fault: str, rate: str) -> None:
    with pytest.raises(LabError, match="rate"):
        labs.break_host(rough_lab.name, "h1", fault, rate=rate)


def test_a_reboot_keeps_the_disk_and_changes_the_boot(rough_lab: Lab) -> None:
    before = boot_id(rough_lab, "h1")
    answer(rough_lab, "h1", "echo stays >witness; sudo touch /run/goes")

    labs.break_host(rough_lab.name, "h1", "reboot")
    labs.heal_host(rough_lab.name, "h1")

    assert boot_id(rough_lab, "h1") != before
    assert answer(rough_lab, "h1", "cat witness; ls /run/goes 2>/dev/null || echo gone").split() == ["stays", "gone"]


def test_up_heals_what_is_broken(rough_lab: Lab) -> None:
    labs.break_host(rough_lab.name, "h1", "kill")
    labs.break_host(rough_lab.name, "h2", "hang")

    labs.up(rough_lab.name, hosts=2, extra_vars={})

    assert [answer(rough_lab, name, "hostname") for name in ("h1", "h2")] == ["h1", "h2"]


@pytest.mark.parametrize("after", ["up", "down"])
def test_a_controller_killed_in_the_middle_of_up(lab_name: str, after: str) -> None:
    name = f"{lab_name}-killed"
    labs.down(name)
    with controller("lab", "up", "--name", name, "--hosts", "3") as process:
        assert process.stdout is not None
        while "boot" not in process.stdout.readline():
            assert process.poll() is None
        process.kill()

    if after == "up":
        made = labs.up(name, hosts=3, extra_vars={})
        assert [answer(made, host.name, "hostname") for host in made.hosts] == ["h1", "h2", "h3"]
    made = labs.find(name)
    labs.down(name)

    assert leftovers(made) == []


def test_disks_outlive_a_reboot_of_this_machine(own_lab: LabFactory) -> None:
    made = own_lab()
    answer(made, "h1", "echo stays >witness; sync")
    tear_down(detect(), made)  # a reboot leaves the files and nothing else

    assert [host.state for host in labs.status(made.name)[0].hosts] == ["dead"]
    labs.up(made.name, hosts=1, extra_vars={})

    assert answer(made, "h1", "cat witness") == "stays"


def test_a_number_taken_by_another_caches_lab_is_left_alone(lab: Lab, lab_name: str) -> None:
    mine = cache_dir("lab", f"{lab_name}-late")
    (mine / "lab.json").write_text(json.dumps({"number": lab.number, "size": 1}))

    for use in (
        lambda name: labs.up(name, hosts=1),
        lambda name: labs.break_host(name, "h1", "crash"),
        lambda name: labs.heal_host(name, "h1"),
    ):
        with pytest.raises(LabError, match="in use by a lab of another cache"):
            use(mine.name)
    assert [host.state for host in labs.status(mine.name)[0].hosts] == ["dead"]
    labs.down(mine.name)

    assert not mine.exists()
    assert answer(lab, "h1", "hostname") == "h1"


def test_up_clears_what_a_lab_without_files_left(lab: Lab, own_lab: LabFactory) -> None:
    lost = own_lab()
    (lost.folder / "lab.json").unlink()

    labs.up(lab.name, hosts=2, extra_vars={})

    assert {line for line in leftovers(lost) if not line.startswith("file: ")} == set()
    labs.up(lost.name, hosts=1, extra_vars={})
    assert answer(labs.find(lost.name), "h1", "hostname") == "h1"


def test_the_command_line(lab: Lab) -> None:
    with controller("lab", "status", "--name", lab.name, "--json") as process:
        told, _ = process.communicate(timeout=60)
    hosts = json.loads(told)[0]["hosts"]
    assert [(host["name"], host["state"]) for host in hosts] == [("h1", "running"), ("h2", "running")]
    assert all(host["memory"] > 0 and host["processes"] > 2 for host in hosts)

    with controller("lab", "ssh", "--name", lab.name, "h2", "--", "echo", "-n", "hello") as process:
        told, _ = process.communicate(timeout=60)
    assert told == "hello"

    with controller("lab", "heal", "--name", lab.name, "h9") as process:
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 5
    assert "has no host h9" in told


def test_faults_and_hosts_are_named_in_errors(lab: Lab) -> None:
    with pytest.raises(LabError, match="no fault called flood"):
        labs.break_host(lab.name, "h1", "flood")
    with pytest.raises(LabError, match="no host h7"):
        labs.break_host(lab.name, "h7", "crash")
    with pytest.raises(LabError, match="no lab called nowhere"):
        labs.break_host("nowhere", "h1", "crash")
