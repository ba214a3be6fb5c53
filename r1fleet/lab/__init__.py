"""Real hosts on one machine to rehearse on."""

from r1fleet.lab.faults import FAULTS, break_host, heal_host
from r1fleet.lab.ground import check_ground
from r1fleet.lab.layout import LOCKED_PASSWORD, LOCKED_USER, USER, Lab, LabHost
from r1fleet.lab.registry import find, labs
from r1fleet.lab.report import HostStatus, LabStatus, status
from r1fleet.lab.usecases import down, ssh_command, up

__all__ = [
    "FAULTS",
    "LOCKED_PASSWORD",
    "LOCKED_USER",
    "USER",
    "HostStatus",
    "Lab",
    "LabHost",
    "LabStatus",
    "break_host",
    "check_ground",
    "down",
    "find",
    "heal_host",
    "labs",
    "ssh_command",
    "status",
    "up",
]
