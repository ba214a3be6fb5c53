"""The tools that are compared: an environment of its own for each, made on demand, and how each runs the role.

They run as separate processes; nothing of theirs is imported here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from r1fleet.cache import cache_dir, cache_lock
from r1fleet.lab import USER, Lab

ROLE = Path(__file__).parent / "role"
PLAY = ROLE / "play.yaml"


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool and its command on one lab."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


PACKAGES = {
    "pyinfra": ("pyinfra",),
    "ansible-core-rs": ("ansible-core-rs",),
    "mitogen": ("mitogen", "ansible-core<2.20"),
    "ansible-core": ("ansible-core<2.20",),
}
"""What pip installs for each; mitogen 0.3 speaks to ansible-core up to 2.19."""


def ours(folder: Path, play: Path = PLAY) -> Tool:
    """Return r1fleet's own command."""
    command = (sys.executable, "-m", "r1fleet", "play", str(play), "-i", str(folder / "hosts.yaml"))
    return Tool("r1fleet", (*command, "--forks", "100", "--output", "plain"))


def facts(folder: Path) -> tuple[str, ...]:
    """Return the command that asks every host for its facts."""
    return (sys.executable, "-m", "r1fleet", "facts", "-i", str(folder / "hosts.yaml"))


def peer(name: str, folder: Path, hosts: int) -> Tool:
    """Return a peer's command, tuned as its documents say."""
    binary = environment(name) / "bin"
    if name == "pyinfra":
        options: tuple[str, ...] = ("--sudo", "-y", "--parallel", str(hosts))
        env = {"BENCH_HOSTS": str(folder / "hosts.json")}
        return Tool(name, (str(binary / "pyinfra"), *options, str(ROLE / "hosts.py"), str(ROLE / "deploy.py")), env)
    if name == "ansible-core-rs":
        # Its file module does not become root (0.16): it logs in as root, which spares it sudo.
        options = ("-i", str(folder / "root.yaml"), "-f", str(hosts), "-u", "root")
        return Tool(name, (str(binary / "ansible"), "playbook", *options, str(PLAY)))
    env = {
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_FORKS": str(hosts),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible"),
        "ANSIBLE_SSH_ARGS": f"-o ControlMaster=auto -o ControlPersist=600s -o ControlPath={folder}/%C",
        "ANSIBLE_NOCOWS": "1",
    }
    if name == "mitogen":
        [strategies] = binary.parent.glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy")
        env |= {"ANSIBLE_STRATEGY_PLUGINS": str(strategies), "ANSIBLE_STRATEGY": "mitogen_linear"}
    return Tool(name, (str(binary / "ansible-playbook"), "-i", str(folder / "hosts.yaml"), str(PLAY)), env)


def environment(name: str) -> Path:
    """Return the peer's virtual environment under the cache, made if it is not there."""
    folder = cache_dir("bench") / name
    with cache_lock(f"bench-{name}"):
        if not (folder / ".ready").exists():
            print(f"making an environment for {name}", flush=True)
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            pip = [str(folder / "bin/python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
            subprocess.run([*pip, *PACKAGES[name]], check=True)
            (folder / ".ready").touch()
    return folder


def versions(name: str) -> str:
    """Return what is installed in a peer's environment, by the names that were asked for."""
    asked = [package.partition("<")[0] for package in PACKAGES[name]]
    show = "print(*(f'{name} {version(name)}' for name in sys.argv[1:]), sep=', ')"
    code = f"import sys; from importlib.metadata import version; {show}"
    python = environment(name) / "bin/python"
    return subprocess.run([str(python), "-c", code, *asked], check=True, capture_output=True, text=True).stdout.strip()


def hand_out(lab: Lab, folder: Path, hosts: int) -> None:
    """Write the table of hosts in the two forms that the tools read."""
    members = lab.hosts[:hosts]
    table = {
        "user": USER,
        "key": str(lab.key),
        "known_hosts": str(lab.known_hosts),
        "hosts": {host.name: host.address for host in members},
    }
    (folder / "hosts.json").write_text(json.dumps(table))
    common = {
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts}",
        "ansible_python_interpreter": "/usr/bin/python3",
        "proxy_env": {"http_proxy": lab.proxy, "https_proxy": lab.proxy},
    }
    for name, user in (("hosts.yaml", USER), ("root.yaml", "root")):
        nodes = {host.name: {"ansible_host": host.address, **common, "ansible_user": user} for host in members}
        (folder / name).write_text(yaml.safe_dump({"all": {"children": {"nodes": {"hosts": nodes}}}}))
    (folder / "ansible.cfg").touch()
