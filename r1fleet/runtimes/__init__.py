"""What keeps a process alive on a host: systemd or docker."""

from r1fleet.runtimes.boot import boot_files, boot_paths
from r1fleet.runtimes.docker import Docker, notes_of
from r1fleet.runtimes.entry import secrets_text
from r1fleet.runtimes.interface import HostFile, Image, Process, ProcessState, Runtime, owner_of
from r1fleet.runtimes.kept import Kept, kept_container, kept_folders, kept_home, kept_name
from r1fleet.runtimes.registry import RUNTIMES, runtime_name, runtime_of
from r1fleet.runtimes.session import Session
from r1fleet.runtimes.systemd import Systemd

__all__ = [
    "RUNTIMES",
    "Docker",
    "HostFile",
    "Image",
    "Kept",
    "Process",
    "ProcessState",
    "Runtime",
    "Session",
    "Systemd",
    "boot_files",
    "boot_paths",
    "kept_container",
    "kept_folders",
    "kept_home",
    "kept_name",
    "notes_of",
    "owner_of",
    "runtime_name",
    "runtime_of",
    "secrets_text",
]
