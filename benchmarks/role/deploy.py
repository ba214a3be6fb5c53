"""The role as a pyinfra deploy: the same tasks in the same order, as its own documents write them."""

from io import StringIO
from pathlib import Path

from pyinfra import host
from pyinfra.context import inventory
from pyinfra.facts.files import File
from pyinfra.facts.server import Command, LinuxDistribution
from pyinfra.operations import apt, files, server, systemd

HERE = Path(__file__).parent
FOLDER = "/opt/bench"
LEVEL = 3

distribution = host.get_fact(LinuxDistribution)
server.group(name="Make the group", group="bench", system=True)
server.user(
    name="Make the user",
    user="bench",
    group="bench",
    system=True,
    shell="/usr/sbin/nologin",
    home=FOLDER,
    ensure_home=False,
)
files.directory(name="Make the folder", path=FOLDER, user="root", group="root", mode="755")
for name in ("data", "log"):
    files.directory(name=f"Make its {name} folder", path=f"{FOLDER}/{name}", user="bench", group="bench", mode="750")
main = files.template(
    name="Write the main settings",
    src=str(HERE / "templates/main.pyinfra.j2"),
    dest=f"{FOLDER}/main.conf",
    mode="644",
    folder=FOLDER,
    level=LEVEL,
    distribution=distribution["name"].lower(),
)
files.template(
    name="Write the network settings",
    src=str(HERE / "templates/network.pyinfra.j2"),
    dest=f"{FOLDER}/network.conf",
    mode="644",
    members=[one.data.inventory_name for one in inventory],
)
unit = files.template(
    name="Write the unit", src=str(HERE / "templates/unit.j2"), dest="/etc/systemd/system/bench.service", mode="644"
)
files.put(name="Copy the script", src=str(HERE / "files/check.sh"), dest=f"{FOLDER}/check.sh", mode="755")
files.put(name="Copy the table", src=str(HERE / "files/table.csv"), dest=f"{FOLDER}/table.csv", mode="644")
files.put(name="Write the notice", src=StringIO("Kept by a benchmark.\n"), dest="/etc/bench-notice", mode="644")
files.put(
    name="Write the limits",
    src=StringIO("* soft nofile 65536\n* hard nofile 65536\n"),
    dest="/etc/security/limits.d/90-bench.conf",
    mode="644",
)
files.link(name="Link the script", path="/usr/local/bin/bench-check", target=f"{FOLDER}/check.sh")
files.line(name="Set the level", path="/etc/bench.ini", line="^level.*", replace=f"level = {LEVEL}")
files.line(name="Set the colour", path="/etc/bench.ini", line="^colour.*", replace="colour = green")
files.line(name="Set the size", path="/etc/bench.ini", line="^size.*", replace="size = 12")
files.block(name="Write the block", path="/etc/bench-block.ini", content="alpha = 1\nbeta = 2")
files.file(name="Remove an old file", path="/etc/bench.old", present=False)
files.directory(name="Remove an old folder", path="/opt/bench-old", present=False)
script = host.get_fact(File, path=f"{FOLDER}/check.sh")
if script:  # on the first run the script is not there yet when facts are read
    assert script["size"], "the script is empty"
kernel = host.get_fact(Command, command="uname -r")
host.get_fact(Command, command="getent passwd | wc -l")
if not host.get_fact(File, path=f"{FOLDER}/made"):
    server.shell(name="Make it once", commands=[f"touch {FOLDER}/made"])
files.put(name="Write what was found", src=StringIO(f"kernel {kernel}\n"), dest=f"{FOLDER}/kernel", mode="644")
if distribution["name"] == "Plan9":
    server.shell(name="Skip this", commands=["false"])
apt.packages(name="Look for the packages", packages=["sudo", "python3", "openssh-server"])
systemd.service(name="Run the unit", service="bench", running=True, enabled=True)
systemd.service(name="Run sshd", service="ssh", running=True, enabled=True)
systemd.daemon_reload(name="Reload systemd", _if=unit.did_change)
systemd.service(name="Restart the unit", service="bench", restarted=True, _if=main.did_change)
