"""Plans of a rehearsal engine, for tests of the gang itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from r1fleet.command import cmd
from r1fleet.launch.plan import Plan, RankPlan, digest_of
from r1fleet.runtimes import Image, Process
from r1fleet.spec import Deployment, Job, Timeouts, resolve
from r1fleet.topology.gang import Gang, Node, Parallelism

PYTHON = "/usr/bin/python3"
ENGINE = "/opt/rehearsal/engine.py"
MODEL = "/opt/rehearsal/model"
PORT, RENDEZVOUS = 18000, 18500
STATE = "/var/lib/r1fleet"


def rehearsal(
    hosts: Sequence[tuple[str, str]],
    *,
    name: str = "rehearsal",
    env: Mapping[str, str] | None = None,
    user: str = "lab",
    engine: str = "vllm",
    api_key: bool = False,
    timeouts: Timeouts | None = None,
    model_path: str = MODEL,
    port: int = PORT,
    stop_seconds: int = 15,
    job: Job | None = None,
    venv: str | None = None,
    image: str | None = None,
) -> Plan:
    """Plan one gang over ``hosts`` (name, address); rank 0 is the first."""
    nodes = tuple(Node(rank, host, address, "eth0", 1) for rank, (host, address) in enumerate(hosts))
    gang = Gang(0, nodes, Parallelism(tensor=len(nodes)), RENDEZVOUS)
    deployment = resolve(
        name,
        Deployment(
            engine=engine,  # type: ignore[arg-type]
            accelerator="cpu",
            model="tiny",
            model_path=model_path,
            hosts="nodes",
            runtime="docker" if image else "venv",
            image=image,
            user=user,
            port=port,
            rendezvous_port=RENDEZVOUS,
            job=job,
            venv=venv,
            api_key={"env": "KEY"} if api_key else None,  # type: ignore[arg-type]
            timeouts=timeouts or Timeouts(rendezvous=30, load=60, ready=30),
        ),
    )
    ranks = tuple(_rank(name, deployment, gang, node, env or {}, stop_seconds) for node in nodes)
    endpoints = () if job else (f"http://{nodes[0].address}:{port}",)
    plan = Plan("lab", name, deployment, (gang,), ranks, endpoints, "", kind="job" if job else "service")
    return replace(plan, digest=digest_of(plan))


def _rank(
    name: str, deployment: Deployment, gang: Gang, node: Node, env: Mapping[str, str], stop_seconds: int
) -> RankPlan:
    command = cmd(
        PYTHON,
        ENGINE,
        {
            "--rank": node.rank,
            "--world": len(gang.nodes),
            "--leader": gang.leader.address,
            "--rendezvous": gang.rendezvous_port,
            "--port": deployment.port,
        },
        env=dict(env),
    )
    own = f"r1fleet-{name}-{gang.replica}-{node.rank}"
    job = deployment.job
    answers = job is not None and node.rank == 0
    folder = f"{STATE}/{name}"
    process = Process(
        name=own,
        command=command,
        user=deployment.user,
        directory=folder,
        log=f"{folder}/logs/{own}.log",
        exit_record=f"{folder}/{own}.exit",
        stdin=f"{folder}/logs/{own}.in" if answers and job and job.interactive else None,
        output=f"{folder}/logs/{own}.out" if answers else None,
        secrets=f"{folder}/{own}.secrets" if deployment.api_key is not None else None,
        stop_seconds=stop_seconds,
        description=f"rehearsal rank {node.rank}",
        image=Image(deployment.image, deployment.container) if deployment.image else None,
    )
    return RankPlan(node, gang.replica, command, process)
