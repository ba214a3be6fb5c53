"""Runtimes turn a process into commands, and read what a host says of it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from r1fleet.command import cmd
from r1fleet.runtimes import (
    RUNTIMES,
    Image,
    Process,
    ProcessState,
    boot_files,
    boot_paths,
    kept_container,
    notes_of,
    secrets_text,
)
from r1fleet.spec import Container, Deployment, resolve

SYSTEMD, DOCKER = RUNTIMES["venv"], RUNTIMES["docker"]
FOLDER = "/var/lib/r1fleet/r1/7"


def process(**changes: object) -> Process:
    plain = Process(
        name="r1fleet-r1-0-1",
        command=cmd(
            "/opt/venv/bin/vllm", "serve", "/w/m", {"--port": 8000, "--served-model-name": "it's R1"}, env={"A": "b c"}
        ),
        user="r1fleet",
        directory=FOLDER,
        log=f"{FOLDER}/logs/r1fleet-r1-0-1.log",
        exit_record=f"{FOLDER}/r1fleet-r1-0-1.exit",
        description="r1fleet r1, replica 0, rank 1 of 2",
        labels=(("deployment", "r1"), ("replica", "0"), ("rank", "1")),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def contained(container: Container | None = None, **changes: object) -> Process:
    image = Image("lmsysorg/sglang:v0.5.23", container or Container(gpus="all"), ("/w/m",))
    return process(image=image, **changes)


def test_the_entry_script_sources_secrets_sets_the_environment_and_becomes_the_engine() -> None:
    entry = SYSTEMD.files(process(secrets="/s/it's"))[0]

    assert (entry.path, entry.mode) == (f"{FOLDER}/r1fleet-r1-0-1.sh", 0o755)
    assert (
        entry.content
        == """\
#!/bin/sh
# r1fleet r1, replica 0, rank 1 of 2
set -eu
export R1FLEET_UNIT=r1fleet-r1-0-1
set -a
. '/s/it'"'"'s'
set +a
export A='b c'
exec /opt/venv/bin/vllm serve /w/m \\
    --port 8000 \\
    --served-model-name 'it'"'"'s R1'
"""
    )


def test_a_secret_is_never_read_as_shell(tmp_path: Path) -> None:
    nasty = "a'b\"c $(touch pwned) `id`\n;d"
    (tmp_path / "s").write_text(secrets_text({"KEY": nasty}))

    script = f"set -a; . {shlex.quote(str(tmp_path / 's'))}; exec printenv KEY"
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert told.stdout == nasty + "\n"
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_service_is_transient_and_ends_as_a_whole() -> None:
    assert (
        SYSTEMD.start(process()).lines()
        == f"""\
systemd-run \\
    --unit r1fleet-r1-0-1.service \\
    --description 'r1fleet r1, replica 0, rank 1 of 2' \\
    --service-type exec \\
    --property=User=r1fleet \\
    --property=WorkingDirectory={FOLDER} \\
    --property=StandardOutput=append:{FOLDER}/logs/r1fleet-r1-0-1.log \\
    --property=StandardError=append:{FOLDER}/logs/r1fleet-r1-0-1.log \\
    --property=KillMode=control-group \\
    --property=KillSignal=SIGTERM \\
    --property=TimeoutStopSec=20 \\
    --property=LimitNOFILE=65536 \\
    --property=ExecStopPost=+{FOLDER}/r1fleet-r1-0-1.ended.sh \\
    -- {FOLDER}/r1fleet-r1-0-1.sh"""
    )


def test_limits_are_set_only_where_the_deployment_asks() -> None:
    words = SYSTEMD.start(process(limits=(("memlock", "-1"), ("nofile", "1000")))).argv

    assert "--property=LimitMEMLOCK=infinity" in words
    assert "--property=LimitNOFILE=1000" in words


def test_a_failure_is_tried_again_by_whoever_keeps_the_process_alive() -> None:
    words = SYSTEMD.start(process(restarts=2)).argv

    assert {"--property=Restart=on-failure", "--property=StartLimitBurst=3"} <= set(words)
    assert "--restart on-failure:2" in " ".join(DOCKER.start(contained(restarts=2)).argv)


def test_after_a_reboot_a_container_is_started_and_a_service_made_anew() -> None:
    assert DOCKER.again(contained()).argv == ("docker", "start", "r1fleet-r1-0-1")
    assert SYSTEMD.again(process()) == SYSTEMD.start(process())
    unit, wish = boot_paths("r1")
    script, *units = boot_files("r1", FOLDER, [cmd("docker", "start", "it's")], ["/a b", "/c"])

    assert script.content.splitlines()[2:] == ["rm -f '/a b' /c", "docker start 'it'\"'\"'s'"]
    assert [file.path for file in units] == [unit, wish]
    assert units[1].content == "[Unit]\nWants=r1fleet-r1-boot.service\n"


def test_no_command_holds_the_secret_or_the_engines_arguments() -> None:
    asked = process(secrets=f"{FOLDER}/secrets")

    for command in (SYSTEMD.start(asked), SYSTEMD.stop(asked), SYSTEMD.inspect(asked)):
        assert not [word for word in command.argv if "vllm" in word or "secrets" in word]


@pytest.mark.parametrize(
    ("result", "state"),
    [
        ("success exited 0", ProcessState("exited", 0)),
        ("exit-code exited 7", ProcessState("failed", 7)),
        ("signal killed KILL", ProcessState("failed", 137)),
        ("success killed TERM", ProcessState("exited", 143)),
        ("", ProcessState("exited")),
    ],
)
def test_a_unit_that_is_gone_is_known_by_its_exit_record(result: str, state: ProcessState) -> None:
    assert SYSTEMD.parse(f"LoadState=not-found\nActiveState=inactive\nExitRecord={result}\n") == state


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ("LoadState=not-found\nActiveState=inactive\n", ProcessState("absent")),
        (
            "LoadState=loaded\nActiveState=active\nMainPID=93\nExecMainStartTimestamp=Sun 2026-11-22 06:01:13 UTC\n",
            ProcessState("running", since="Sun 2026-11-22 06:01:13 UTC", pid=93),
        ),
        (
            "LoadState=loaded\nActiveState=failed\nExecMainCode=1\nExecMainStatus=7\nExitRecord=exit-code exited 7\n",
            ProcessState("failed", 7),
        ),
        ("LoadState=loaded\nActiveState=failed\nExecMainCode=2\nExecMainStatus=9\n", ProcessState("failed", 137)),
        ("LoadState=loaded\nActiveState=deactivating\nMainPID=0\n", ProcessState("running")),
    ],
)
def test_what_systemd_shows_is_read(shown: str, state: ProcessState) -> None:
    assert SYSTEMD.parse(shown) == state


def test_the_record_script_writes_what_systemd_tells_it(tmp_path: Path) -> None:
    record = tmp_path / "exit record"
    script = SYSTEMD.files(process(exit_record=str(record)))[1]
    environment = {"SERVICE_RESULT": "signal", "EXIT_CODE": "killed", "EXIT_STATUS": "KILL"}

    subprocess.run(["sh", "-c", script.content], check=True, env=environment)

    assert record.read_text() == "signal killed KILL\n"


def test_a_container_shares_the_host_and_reads_only_what_it_must() -> None:
    assert (
        DOCKER.start(contained(secrets=f"{FOLDER}/s")).lines()
        == f"""\
docker run \\
    --detach \\
    --init \\
    --name r1fleet-r1-0-1 \\
    --label r1fleet.deployment=r1 \\
    --label r1fleet.replica=0 \\
    --label r1fleet.rank=1 \\
    --env R1FLEET_UNIT=r1fleet-r1-0-1 \\
    --log-driver json-file \\
    --log-opt max-size=10m \\
    --log-opt max-file=2 \\
    --network host \\
    --ipc host \\
    --gpus all \\
    --ulimit memlock=-1 \\
    --mount type=bind,source=/w/m,target=/w/m,readonly \\
    --mount type=bind,source={FOLDER}/r1fleet-r1-0-1.sh,target={FOLDER}/r1fleet-r1-0-1.sh,readonly \\
    --mount type=bind,source={FOLDER}/s,target={FOLDER}/s,readonly \\
    --mount type=bind,source={FOLDER}/logs,target={FOLDER}/logs \\
    --workdir {FOLDER}/logs \\
    --entrypoint /bin/sh lmsysorg/sglang:v0.5.23 {FOLDER}/r1fleet-r1-0-1.sh"""
    )


def test_a_container_of_its_own_namespaces() -> None:
    own = Container(
        ipc="private", network="bridge", publish=("8000:8000",), devices=("/dev/vacc0",), volumes=("/a:/b",),
        privileged=True, ulimits={}, shm_size="256g",
    )  # fmt: skip
    words = " ".join(DOCKER.start(contained(own)).argv)

    assert (
        "--network bridge --ipc private --shm-size 256g --publish 8000:8000 --privileged --device /dev/vacc0" in words
    )
    assert "--volume /a:/b" in words
    assert "--gpus" not in words


def test_a_list_of_gpus_is_quoted_for_dockers_csv() -> None:
    assert '"device=0,1"' in DOCKER.start(contained(Container(gpus="device=0,1"))).argv


def test_devices_by_their_cdi_names_need_no_gpus_option() -> None:
    words = " ".join(DOCKER.start(contained(Container(gpus="nvidia.com/gpu=0,nvidia.com/gpu=1", ulimits={}))).argv)

    assert "--device nvidia.com/gpu=0 --device nvidia.com/gpu=1" in words
    assert "--gpus" not in words


def test_a_container_runs_as_a_user_where_one_is_written() -> None:
    assert "--user 1000:1000" in " ".join(DOCKER.start(contained(Container(user="1000:1000"))).argv)


def test_a_kept_container_holds_a_keeper_for_each_rank() -> None:
    kept = RUNTIMES["kept"]
    own = contained(Container(keep=True, user="1000:1000"), secrets=f"{FOLDER}/s")

    start, inside = kept.start(own).argv, f"{FOLDER}/r1fleet-r1-0-1.session.json"

    assert start[:5] == (
        "sh",
        "-c",
        'docker start "$1" >/dev/null && shift && exec docker exec "$@"',
        "sh",
        "r1fleet-r1-kept",
    )
    assert start[5:10] == ("--user", "0", "--env", "R1FLEET_UNIT=r1fleet-r1-0-1", "r1fleet-r1-kept")
    assert start[-3:] == ("start", inside, f"{FOLDER}/session")
    config = json.loads({file.path: file.content for file in kept.files(own)}[inside])
    assert (config["user"], config["exit_record"]) == ("1000:1000", own.exit_record)
    assert kept.parse("LoadState=loaded\nActiveState=active\nMainPID=7\n") == ProcessState("running")


def test_a_container_is_kept_with_what_launches_write_its_environment_and_the_models() -> None:
    written = Deployment(
        engine="sglang",
        model="org/m",
        hosts="gpu",
        image="i:1",
        container=Container(keep=True, ulimits={}, ipc="private"),
    )
    asked = resolve("r1", written)

    made, digest = kept_container("r1", asked)

    assert asked.venv == "/opt/r1fleet/kept/r1/sglang"
    assert (
        made.lines()
        == f"""\
docker run \\
    --detach \\
    --init \\
    --label r1fleet.deployment=r1 \\
    --label r1fleet.kept={digest} \\
    --name r1fleet-r1-kept \\
    --restart unless-stopped \\
    --log-driver json-file \\
    --log-opt max-size=10m \\
    --log-opt max-file=2 \\
    --network host \\
    --ipc private \\
    --shm-size 32g \\
    --gpus all \\
    --volume /var/lib/r1fleet/r1:/var/lib/r1fleet/r1 \\
    --volume /opt/r1fleet/kept/r1:/opt/r1fleet/kept/r1 \\
    --volume /var/lib/r1fleet/weights:/var/lib/r1fleet/weights:ro \\
    --workdir / \\
    --entrypoint /bin/sh i:1 \\
    -c 'exec sleep infinity'"""
    )
    assert kept_container("r1", asked.model_copy(update={"image": "i:2"}))[1] != digest


def test_settings_without_effect_are_told() -> None:
    assert notes_of(Container()) == ()
    assert notes_of(Container(shm_size="64g", publish=("1:1",))) == (
        "shm_size 64g has no effect: ipc host shares the host's /dev/shm",
        "publish has no effect: network host publishes every port",
    )


def test_the_containers_entry_writes_to_the_log_file() -> None:
    lines = DOCKER.files(contained())[0].content.splitlines()

    assert f"exec >>{FOLDER}/logs/r1fleet-r1-0-1.log 2>&1" in lines


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            {"Status": "running", "Pid": 5, "ExitCode": 0, "StartedAt": "2026-11-22T06:00:00Z"},
            ProcessState("running", since="2026-11-22T06:00:00Z", pid=5),
        ),
        ({"Status": "exited", "Pid": 0, "ExitCode": 0, "StartedAt": ""}, ProcessState("exited", 0)),
        ({"Status": "exited", "Pid": 0, "ExitCode": 137}, ProcessState("failed", 137)),
    ],
)
def test_what_docker_shows_is_read(state: dict[str, object], expected: ProcessState) -> None:
    told = json.dumps({"Image": "sha256:12", "State": state})

    assert DOCKER.parse(told) == replace(expected, image="sha256:12")


def test_a_container_that_never_was_is_absent() -> None:
    assert DOCKER.parse("\n") == ProcessState("absent")


def fake(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f'#!/bin/sh\necho "$@" >>{folder}/calls\n{script}\n')
    (folder / name).chmod(0o755)


def test_stopping_a_container_keeps_how_it_ended_and_frees_its_name(tmp_path: Path) -> None:
    fake(tmp_path, "docker", 'case $1 in ps) echo abc ;; inspect) echo "{}" ;; esac')
    asked = contained(exit_record=str(tmp_path / "exit"))
    path = f"{tmp_path}:{os.environ['PATH']}"

    subprocess.run(DOCKER.stop(asked).argv, check=True, env={"PATH": path})

    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[1:] == [
        "stop -t 20 abc",
        'inspect --format {"Image":{{json .Image}},"State":{{json .State}}} abc',
        "rm --force abc",
    ]
    assert (tmp_path / "exit").read_text() == "{}\n"


def test_stopping_what_is_absent_is_no_error_but_a_dead_daemon_is(tmp_path: Path) -> None:
    path = f"{tmp_path}:{os.environ['PATH']}"
    stop = DOCKER.stop(contained()).argv

    fake(tmp_path, "docker", "exit 0")
    assert subprocess.run(stop, check=False, env={"PATH": path}).returncode == 0
    fake(tmp_path, "docker", "exit 1")
    assert subprocess.run(stop, check=False, env={"PATH": path}).returncode == 1


def test_a_command_with_two_dashes_inside_a_value_stays_whole(tmp_path: Path) -> None:
    entry = SYSTEMD.files(process(command=cmd("printf", "%s", 'a --b "c"')))[0]

    told = subprocess.run(["sh", "-c", entry.content], capture_output=True, text=True, check=True)

    assert told.stdout == 'a --b "c"'
