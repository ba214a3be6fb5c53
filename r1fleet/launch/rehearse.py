"""What a launch would do, told instead of done."""

from __future__ import annotations

from collections.abc import Iterator

from r1fleet.events import WouldRun
from r1fleet.launch.options import LaunchOptions
from r1fleet.launch.plan import Plan
from r1fleet.launch.record import arguments_hash, judge_start
from r1fleet.launch.stage import stage_args
from r1fleet.runtimes import runtime_of
from r1fleet.status.record import DeploymentRecord


def would_run(plan: Plan, record: DeploymentRecord, python: str, options: LaunchOptions) -> Iterator[WouldRun]:
    """Tell of each host of a placed plan which files it would get, and which commands it would run."""
    runtime = runtime_of(plan.deployment)
    for host in record.hosts:
        files = stage_args(plan, record, host, python, options)["files"]
        writes = tuple(f"{row['path']} ({row['mode']:04o})" for row in files)
        own = [rank for rank in plan.ranks if rank.node.host == host]
        judges = [gang for gang in plan.gangs if gang.leader.host == host]
        commands = [runtime.start(rank.process) for rank in own]
        commands += [judge_start(plan, gang, record.generation, python) for gang in judges]
        hashes = tuple(f"rank {rank.node.rank}: {arguments_hash(rank)}" for rank in own)
        yield WouldRun(record.name, host, writes, tuple(command.shell() for command in commands), hashes)
