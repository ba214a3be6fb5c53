"""Start one coordinated gang of ranks: all or none."""

from r1fleet.launch.attach import Terminal
from r1fleet.launch.failure import Failure, GangFailed
from r1fleet.launch.gather import connected, gather, gather_on, read_shape, read_shape_on, supervision_on
from r1fleet.launch.lock import HeldLock, lock_release, lock_status
from r1fleet.launch.model_files import read_model
from r1fleet.launch.options import LaunchOptions, LaunchResult
from r1fleet.launch.orphans import stop_orphans
from r1fleet.launch.restart import restart, restart_on
from r1fleet.launch.run import launch, launch_on
from r1fleet.launch.stop import StopReport, stop

__all__ = [
    "Failure",
    "GangFailed",
    "HeldLock",
    "LaunchOptions",
    "LaunchResult",
    "StopReport",
    "Terminal",
    "connected",
    "gather",
    "gather_on",
    "launch",
    "launch_on",
    "lock_release",
    "lock_status",
    "read_model",
    "read_shape",
    "read_shape_on",
    "restart",
    "restart_on",
    "stop",
    "stop_orphans",
    "supervision_on",
]
