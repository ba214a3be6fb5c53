"""What each host of a gang gets before the start: entry scripts, secrets, the judge, the record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from r1fleet.launch.options import LaunchOptions
from r1fleet.launch.plan import Plan
from r1fleet.launch.record import judge_files, judge_start, secrets
from r1fleet.runtimes import HostFile, boot_files, owner_of, runtime_of, secrets_text
from r1fleet.status.judge import STARTING
from r1fleet.status.record import Current, DeploymentRecord, folder_of, generation_folder


def stage_args(plan: Plan, record: DeploymentRecord, host: str, python: str, options: LaunchOptions) -> dict[str, Any]:
    """Return the arguments of ``fleet_stage`` for one host."""
    current = Current(record.generation, plan.digest, STARTING, host, options.by)
    return {
        "folder": folder_of(plan.name),
        "folders": _folders(plan, record, host),
        "files": _files(plan, record, host, python, options),
        "current": current.as_json(),
        "journal": {"who": options.by, "what": "launch", "generation": record.generation, "digest": plan.digest},
    }


def _folders(plan: Plan, record: DeploymentRecord, host: str) -> list[str]:
    paths = [f"{folder_of(plan.name)}/generations", generation_folder(plan.name, record.generation)]
    for rank in record.on(host):
        paths += [str(PurePosixPath(rank.log).parent), str(PurePosixPath(rank.exit_record).parent)]
    paths += [gang.out for gang in record.gangs if gang.leader == host]
    return list(dict.fromkeys(paths))


def _files(
    plan: Plan, record: DeploymentRecord, host: str, python: str, options: LaunchOptions
) -> list[dict[str, Any]]:
    runtime = runtime_of(plan.deployment)
    text = secrets_text(secrets(plan, options))
    rows = []
    for rank in plan.ranks:
        if rank.node.host != host:
            continue
        rows += [_row(file) for file in (*runtime.files(rank.process), *rank.files)]
        owner = owner_of(rank.process)
        if rank.process.stdin:
            rows.append({**_row(HostFile(rank.process.stdin, "", 0o600)), "owner": owner, "fifo": True})
        if rank.process.secrets:
            rows.append({**_row(HostFile(rank.process.secrets, text, 0o400)), "owner": owner})
        if rank.process.image is None or rank.process.image.container.user:
            # Who writes a log must be able to give back its space; in a container it also opens it by itself.
            paths = filter(None, (rank.process.log, rank.process.output))
            rows += [{**_row(HostFile(path, "")), "owner": owner} for path in paths]
    if plan.deployment.boot:
        rows += [_row(file) for file in _boot_files(plan, record, host, python)]
    for gang in plan.gangs:
        if gang.leader.host == host:
            rows += [_row(file) for file in judge_files(plan, gang, record, python)]
    path = f"{generation_folder(plan.name, record.generation)}/plan.json"
    return [*rows, _row(HostFile(path, json.dumps(record.as_json(), indent=1)))]


def _boot_files(plan: Plan, record: DeploymentRecord, host: str, python: str) -> Sequence[HostFile]:
    runtime = runtime_of(plan.deployment)
    starts = [runtime.again(rank.process) for rank in plan.ranks if rank.node.host == host]
    stale = [rank.exit_record for rank in record.on(host)]
    for gang in plan.gangs:
        if gang.leader.host == host:
            starts.append(judge_start(plan, gang, record.generation, python))
            out = next(row.out for row in record.gangs if row.replica == gang.replica)
            stale += [f"{out}/{name}.json" for name in ("ready", "failed", "progress")]
    return boot_files(plan.name, generation_folder(plan.name, record.generation), starts, stale)


def _row(file: HostFile) -> dict[str, Any]:
    return {"path": file.path, "content": file.content, "mode": file.mode}
