"""A container that stays, for an engine to be installed into: made by roles, used by launches, ended by neither."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from r1fleet.errors import PreflightFailed
from r1fleet.launch.plan import Plan, digest_of
from r1fleet.runtimes import kept_container, kept_folders, kept_home, kept_name
from r1fleet.spec import Container
from tests.gangs import ENGINE
from tests.lab.boxed import NAME, SOURCE, Stage
from tests.lab.ground import eventually
from tests.lab.reach import r1fleet

CONTAINER, HOME = kept_name(NAME), kept_home(NAME)
PYTHON = f"{HOME}/standin/bin/python"


@pytest.fixture
def stage(boxes: Stage) -> Iterator[Stage]:
    yield boxes
    boxes.stop()
    boxes.sh("h1", f"docker rm -f {CONTAINER}; rm -rf {HOME}")


@pytest.fixture
def plan(stage: Stage) -> Plan:
    own = Container(ulimits={}, volumes=("/usr:/usr:ro", f"{ENGINE}:{ENGINE}:ro"), keep=True, gpus="none")
    return stage.plan(own, hosts=("h1",), program=PYTHON, stop_seconds=5)


def shared(plan: Plan, size: str) -> Plan:
    """Ask for a container that shares another amount of memory."""
    own = plan.deployment.container.model_copy(update={"ipc": "private", "shm_size": size})
    other = replace(plan, deployment=plan.deployment.model_copy(update={"container": own}))
    return replace(other, digest=digest_of(other))


def install(stage: Stage, plan: Plan, folder: Path, *, code: int = 0) -> str:
    """Apply the roles as `r1fleet provision` does; the engine is an empty wheel."""
    made, digest = kept_container(NAME, plan.deployment)
    folders = [volume.split(":")[0] for volume in kept_folders(NAME, plan.deployment)]
    execute = ["docker", "exec", "--env", "PIP_NO_INDEX", "--env", "PIP_FIND_LINKS", CONTAINER]
    kept = {"name": CONTAINER, "argv": list(made.argv), "digest": digest, "folders": folders, "exec": execute}
    wheels = f"{HOME}/wheels"
    venv = {
        "engine_venv_name": "standin",
        "engine_venv_root": HOME,
        "engine_venv_exec": execute,
        "engine_venv_index_url": "none",
        "engine_venv_find_links": [wheels],
        "engine_venv_requirements": ["standin"],
        "engine_venv_imports": ["standin"],
    }
    wheel = _wheel(folder)
    tasks = [
        {"include_role": {"name": "engine_image", "tasks_from": "keep"}, "vars": {"engine_image_kept": kept}},
        {"file": {"path": wheels, "state": "directory"}},
        {"copy": {"src": str(wheel), "dest": f"{wheels}/{wheel.name}"}},
        {"include_role": {"name": "engine_venv"}, "vars": venv},
    ]
    play = folder / "play.yml"
    play.write_text(yaml.safe_dump([{"hosts": "h1", "become": True, "tasks": tasks}], sort_keys=False))
    done = r1fleet("play", str(play), "-i", str(stage.lab.inventory))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def _wheel(folder: Path) -> Path:
    path = folder / "standin-1-py3-none-any.whl"
    if not path.exists():
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("standin.py", "")
            file.writestr("standin-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: standin\nVersion: 1\n")
            file.writestr("standin-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            file.writestr("standin-1.dist-info/RECORD", "")
    return path


@pytest.mark.slow
def test_an_environment_is_installed_into_a_container_that_outlives_its_ranks(
    stage: Stage, plan: Plan, tmp_path: Path
) -> None:
    with pytest.raises(PreflightFailed, match=f"the container {CONTAINER} is not there"):
        stage.launch(plan)
    install(stage, plan, tmp_path)
    assert " changed=0 " in install(stage, plan, tmp_path)

    assert stage.launch(plan).state == "ready"

    (rank,) = stage.status().deployments[0].ranks
    assert (rank.state, rank.resident > 0) == ("ready", True)
    inside = f"docker top {CONTAINER} -o pid,args"
    assert stage.sh("h1", f"{inside} | grep -c '{PYTHON}'") == "1"
    stage.sh("h1", f"kill -9 $(pgrep -f '^{PYTHON}')")
    assert eventually(lambda: stage.status().deployments[0].ranks[0].detail == "ended with status 137 (signal)")
    assert stage.launch(plan).state == "ready"
    with pytest.raises(PreflightFailed, match="was made with other settings"):
        stage.launch(shared(plan, "1g"), replace=True)
    assert "something runs in it" in install(stage, shared(plan, "1g"), tmp_path, code=2)
    stage.stop()
    assert stage.sh("h1", f"{inside} | tail -n +2 | grep -vc 'init\\|sleep infinity'; true") == "0"
    assert json.loads(stage.sh("h1", f"docker inspect {CONTAINER}"))[0]["State"]["Running"]
    install(stage, shared(plan, "1g"), tmp_path)
    assert SOURCE.name not in stage.left()
