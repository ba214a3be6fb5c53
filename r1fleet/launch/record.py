"""Turn a plan into what its hosts keep: paths of this generation, the record, the judge."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from urllib.parse import urlsplit

from r1fleet.command import Command, cmd
from r1fleet.engines import engine_of
from r1fleet.inventory.addresses import EVERYWHERE
from r1fleet.launch.options import LaunchOptions
from r1fleet.launch.plan import Plan, RankPlan
from r1fleet.launch.sites import is_address
from r1fleet.runtimes import RUNTIMES, HostFile, Process, Runtime, runtime_of
from r1fleet.runtimes import runtime_name as recorded_name
from r1fleet.status.record import DeploymentRecord, GangRecord, JudgeRecord, RankRecord, generation_folder
from r1fleet.topology.gang import Gang

JUDGE_MODULES = ("completion", "processes", "readiness")
PROMPT = "Say hello."
UNNUMBERED = "N"
"""Stands for the generation's number in what is shown before a launch."""


def placed(plan: Plan, generation: int | str) -> Plan:
    """Move every path of the plan's processes into the folder of one generation."""
    folder = generation_folder(plan.name, generation)
    return replace(plan, ranks=tuple(_placed(rank, folder) for rank in plan.ranks))


def starts(plan: Plan) -> tuple[Command, ...]:
    """Return the command that starts each rank on its host, for a launch that has no number yet."""
    runtime = runtime_of(plan.deployment)
    return tuple(runtime.start(rank.process) for rank in placed(plan, UNNUMBERED).ranks)


def record_of(plan: Plan, generation: int, options: LaunchOptions, python: str) -> DeploymentRecord:
    """Make the record of a placed plan."""
    runtime = runtime_of(plan.deployment)
    ranks = tuple(
        RankRecord(
            rank=rank.node.rank,
            replica=rank.replica,
            host=rank.node.host,
            address=rank.node.address,
            name=rank.process.name,
            log=rank.process.log,
            exit_record=rank.process.exit_record,
            command=rank.command.shell(),
            inspect=runtime.inspect(rank.process).argv,
            stop=runtime.stop(rank.process).argv,
            stop_seconds=rank.process.stop_seconds,
            stdin=rank.process.stdin or "",
            output=rank.process.output or "",
            arguments=arguments_hash(rank),
            image=rank.process.image.name if rank.process.image else "",
        )
        for rank in plan.ranks
    )
    leader = leader_of(plan, plan.gangs[0].replica)
    engine = engine_of(plan.deployment.engine)
    return DeploymentRecord(
        cluster=plan.cluster,
        name=plan.name,
        digest=plan.digest,
        generation=generation,
        engine=plan.deployment.engine,
        runtime=recorded_name(plan.deployment),
        model=served_name(plan),
        endpoints=plan.endpoints,
        leader_first=engine.leader_stops_first,
        key_file=(leader.process.secrets or "") if options.api_key else "",
        key_name=next(iter(secrets(plan, options)), ""),
        by=options.by,
        settings=tuple(f"{key}: {json.dumps(value)}" for key, value in plan.deployment.model_dump(mode="json").items()),
        ranks=ranks,
        kind=plan.kind,
        gangs=tuple(_gang(plan, gang, generation, python) for gang in plan.gangs),
    )


def with_images(record: DeploymentRecord, images: Mapping[str, str]) -> DeploymentRecord:
    """Keep what the name of each rank's image means on its host."""
    return replace(record, ranks=tuple(replace(rank, digest=images.get(rank.host, "")) for rank in record.ranks))


def judge_of(plan: Plan, gang: Gang, generation: int, python: str) -> Process:
    """Make the process that finds out, on the leader, whether its gang is ready."""
    folder = generation_folder(plan.name, generation)
    name = f"r1fleet-{plan.name}-{gang.replica}-ready"
    argv = (python, "-B", "-m", "r1fleet.agent.readiness", f"{folder}/{name}.json")
    return Process(
        name=name,
        command=cmd(argv, env={"PYTHONPATH": f"{folder}/judge"}),
        user="root",
        directory=folder,
        log=f"{folder}/{name}.log",
        exit_record=f"{folder}/{name}.exit",
        stop_seconds=5,
    )


def judge_files(plan: Plan, gang: Gang, record: DeploymentRecord, python: str) -> Sequence[HostFile]:
    """List the judge's own files: its code, its configuration, its runtime's."""
    folder = generation_folder(plan.name, record.generation)
    process = judge_of(plan, gang, record.generation, python)
    package = f"{folder}/judge/r1fleet"
    code = [HostFile(f"{package}/__init__.py", ""), HostFile(f"{package}/agent/__init__.py", "")]
    source = files("r1fleet.agent")
    code += [
        HostFile(f"{package}/agent/{name}.py", source.joinpath(f"{name}.py").read_text(encoding="utf-8"))
        for name in JUDGE_MODULES
    ]
    config = HostFile(f"{folder}/{process.name}.json", json.dumps(_judge_config(plan, gang, record), indent=1))
    return (*code, config, *_judges_runtime(plan, gang).files(process))


def judge_start(plan: Plan, gang: Gang, generation: int, python: str) -> Command:
    """Return the command that starts a gang's judge."""
    return _judges_runtime(plan, gang).start(judge_of(plan, gang, generation, python))


def secrets(plan: Plan, options: LaunchOptions) -> Mapping[str, str]:
    """Return the variables that carry the API key to the ranks."""
    return engine_of(plan.deployment.engine).secret_environment(options.api_key) if options.api_key else {}


def arguments_hash(rank: RankPlan) -> str:
    """Return a hash of a rank's exact command and environment, as its host keeps them."""
    text = json.dumps([list(rank.process.command.argv), sorted(rank.process.command.env)])
    return hashlib.sha256(text.encode()).hexdigest()


def leader_of(plan: Plan, replica: int) -> RankPlan:
    """Find the rank 0 of a replica."""
    return next(rank for rank in plan.ranks if rank.replica == replica and rank.node.rank == 0)


def runtime_name(plan: Plan) -> str:
    """Name the plan's runtime."""
    return plan.deployment.runtime or "venv"


def served_name(plan: Plan) -> str:
    """Name the model as clients do."""
    return plan.deployment.served_model_name or plan.deployment.model


def port_of(plan: Plan) -> int:
    """Return the port that the endpoint listens on."""
    if not plan.endpoints:
        return 0
    return plan.deployment.port or urlsplit(plan.endpoints[0]).port or 0


def _judges_runtime(plan: Plan, gang: Gang) -> Runtime:
    return RUNTIMES["unsupervised" if gang.leader.host in plan.without_systemd else "venv"]


def _placed(rank: RankPlan, folder: str) -> RankPlan:
    process = _moved(rank.process, folder)
    files = tuple(replace(file, path=_path(file.path, rank.process, folder)) for file in rank.files)
    return replace(rank, command=process.command, process=process, files=files)


def _moved(process: Process, folder: str) -> Process:
    command = replace(process.command, argv=tuple(_path(word, process, folder) for word in process.command.argv))
    image = process.image
    if image is not None:
        image = replace(image, read_only=tuple(_path(path, process, folder) for path in image.read_only))
    return replace(
        process,
        command=command,
        directory=folder,
        log=_path(process.log, process, folder),
        exit_record=_path(process.exit_record, process, folder),
        secrets=_path(process.secrets, process, folder) if process.secrets else None,
        stdin=_path(process.stdin, process, folder) if process.stdin else None,
        output=_path(process.output, process, folder) if process.output else None,
        image=image,
    )


def _path(path: str, process: Process, folder: str) -> str:
    """Move a path that lies in the process's own folder."""
    inside = path.startswith(f"{process.directory}/")
    return folder + path.removeprefix(process.directory) if inside else path


def _gang(plan: Plan, gang: Gang, generation: int, python: str) -> GangRecord:
    judge = judge_of(plan, gang, generation, python)
    return GangRecord(
        replica=gang.replica,
        leader=gang.leader.host,
        url=f"http://{_own_address(plan.deployment.bind)}:{port_of(plan)}" if plan.endpoints else "",
        port=port_of(plan),
        rendezvous_port=gang.rendezvous_port,
        out=f"{generation_folder(plan.name, generation)}/verdict-{gang.replica}",
        judge=JudgeRecord(judge.name, _judges_runtime(plan, gang).stop(judge).argv, judge.stop_seconds),
    )


def _judge_config(plan: Plan, gang: Gang, record: DeploymentRecord) -> dict[str, object]:
    mine = next(row for row in record.gangs if row.replica == gang.replica)
    limits = plan.deployment.timeouts
    workers = [node.address for node in gang.nodes if node.address != gang.leader.address]
    inside = runtime_name(plan) != "docker" or plan.deployment.container.network == "host"
    seen = inside and all(is_address(address) for address in workers)
    return {
        "generation": record.generation,
        "kind": record.kind,
        "url": mine.url,
        "port": mine.port,
        "model": record.model,
        "prompt": PROMPT,
        "max_tokens": 8,
        "key_file": record.key_file,
        "key_name": record.key_name,
        "rendezvous_port": gang.rendezvous_port,
        "workers": workers if seen else [],
        "own": [gang.leader.address, "127.0.0.1", "::1"],
        "exit_record": leader_of(plan, gang.replica).process.exit_record,
        "out": mine.out,
        "limits": {
            "rendezvous": limits.rendezvous,
            "loading": limits.load if workers and seen else limits.rendezvous + limits.load,
            "answering": limits.ready,
        },
    }


def _own_address(bind: str) -> str:
    if bind in EVERYWHERE:
        return "127.0.0.1"
    return f"[{bind}]" if ":" in bind else bind
