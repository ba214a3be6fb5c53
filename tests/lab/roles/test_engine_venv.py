"""The role engine_venv on what a host has: its Python, an environment of its owner's, DeepSeek's scripts."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.differential.footprint import Footprint
from tests.lab.roles.applying import Roles

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

ROLE = "engine_venv"
WHEELS = "root/wheels"
GIVEN: dict[str, Any] = {
    "engine_venv_name": "tiny",
    "engine_venv_requirements": ["tinyengine==1.0"],
    "engine_venv_imports": ["tinyengine"],
    "engine_venv_index_url": "none",
    "engine_venv_find_links": [f"/{WHEELS}"],
}
YOURS: dict[str, Any] = {
    "engine_venv_name": "yours",
    "engine_venv_main": "tinyengine",
    "engine_venv_imports": ["tinyengine"],
    "engine_venv_existing": "/opt/conda/envs/yours",
}


def wheel(folder: Path, name: str, version: str, *needs: str) -> None:
    """Write a wheel with one module that is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    required = "".join(f"Requires-Dist: {need}\n" for need in needs)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", "")
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")


@pytest.fixture(scope="module")
def before(roles: Roles) -> Footprint:
    """Both hosts can get the same engine; what it brings along is newer on h2."""
    for host, version in (("h1", "1.0"), ("h2", "1.1")):
        folder = roles.lab.host(host).root / WHEELS
        wheel(folder, "tinyengine", "1.0", "tinylib")
        wheel(folder, "tinylib", version)
    return roles.footprint("h1")


def test_a_python_that_does_not_suit_the_engine_is_told(roles: Roles, before: Footprint) -> None:
    said = roles.apply(ROLE, hosts="h1", engine_venv_name="deepseek").failure("h1")
    assert said.startswith("deepseek needs Python 3.10, but python3.10 is not on this host. Nothing was installed.")
    given = {"engine_venv_name": "deepseek", "engine_venv_python": "/usr/bin/python3"}
    assert "but /usr/bin/python3 is 3.11" in roles.apply(ROLE, hosts="h1", **given).failure("h1")


def test_an_unknown_engine_and_a_wheelhouse_without_digest_are_told(roles: Roles, before: Footprint) -> None:
    assert "does not know what tgi is made of" in roles.apply(ROLE, hosts="h1", engine_venv_name="tgi").failure("h1")
    said = roles.apply(ROLE, hosts="h1", engine_venv_wheelhouse=str(roles.folder)).failure("h1")
    assert "engine_venv_wheelhouse needs engine_venv_digest" in said


def test_check_mode_changes_nothing(roles: Roles, before: Footprint) -> None:
    applied = roles.done(ROLE, hosts="h1", check=True, **GIVEN)
    assert "Make it the current environment" in applied.changed("h1")
    assert roles.footprint("h1").since(before) == []


def test_an_environment_of_yours_is_looked_at_and_linked_to(roles: Roles, before: Footprint) -> None:
    said = roles.apply(ROLE, hosts="h1", **YOURS).failure("h1")
    assert "/opt/conda/envs/yours has no bin/python that runs" in said
    roles.root("h1", "python3 -m venv --without-pip /opt/conda/envs/yours")
    assert "holds no tinyengine" in roles.apply(ROLE, hosts="h1", **YOURS).failure("h1")
    roles.root(
        "h1", "cd /opt/conda/envs/yours/lib/python3*/site-packages && python3 -m zipfile -e /root/wheels/tinyengine* ."
    )
    said = roles.apply(ROLE, hosts="h1", engine_venv_version="2.0", **YOURS).failure("h1")
    assert "holds tinyengine 1.0, not 2.0" in said
    roles.done(ROLE, hosts="h1", **YOURS)
    assert roles.root("h1", "readlink /opt/r1fleet/venvs/yours") == "/opt/conda/envs/yours"
    assert roles.done(ROLE, hosts="h1", **YOURS).changed("h1") == []


def scripts(folder: Path) -> Path:
    """Write what DeepSeek's repository looks like."""
    (folder / "inference/configs").mkdir(parents=True)
    (folder / "inference/generate.py").write_text("print('generated')\n")
    (folder / "inference/configs/config_671B.json").write_text("{}\n")
    return folder


def test_deepseeks_scripts_come_from_a_folder(roles: Roles, before: Footprint) -> None:
    given = {**YOURS, "engine_venv_engine": "deepseek", "engine_venv_code_path": str(scripts(roles.folder / "code"))}
    applied = roles.done(ROLE, hosts="h1", **given)
    assert "Copy the scripts" in applied.changed("h1")
    assert (
        roles.root("h1", "cd /opt/r1fleet/DeepSeek-V3/inference && python3 generate.py && ls configs")
        == "generated\nconfig_671B.json"
    )
    assert roles.done(ROLE, hosts="h1", **given).changed("h1") == []


@pytest.mark.slow
def test_deepseeks_scripts_come_from_a_bundle_at_one_commit(roles: Roles, before: Footprint) -> None:
    code = scripts(roles.folder / "repository")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example", "-C", str(code)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    wanted = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (code / "inference/generate.py").write_text("print('later')\n")
    for words in (["commit", "-qam", "two"], ["bundle", "create", "-q", str(roles.folder / "code.bundle"), "--all"]):
        subprocess.run([*git, *words], check=True)
    given = {
        **YOURS,
        "engine_venv_engine": "deepseek",
        "engine_venv_code": "/opt/r1fleet/from-bundle",
        "engine_venv_code_bundle": str(roles.folder / "code.bundle"),
        "engine_venv_code_commit": wanted,
    }
    roles.done(ROLE, hosts="h1", **given)
    assert roles.root("h1", "cd /opt/r1fleet/from-bundle/inference && python3 generate.py") == "generated"
    assert roles.done(ROLE, hosts="h1", **given).changed("h1") == []
    roles.done(ROLE, hosts="h1", tasks_from="uninstall", **given)


def test_uninstalling_leaves_an_environment_of_yours(roles: Roles, before: Footprint) -> None:
    roles.done(ROLE, hosts="h1", tasks_from="uninstall", **YOURS, engine_venv_engine="deepseek")
    assert roles.root("h1", "ls /opt/r1fleet /opt/r1fleet/venvs") == "/opt/r1fleet:\nvenvs\n\n/opt/r1fleet/venvs:"
    assert roles.root("h1", "ls /opt/conda/envs/yours/bin/python") == "/opt/conda/envs/yours/bin/python"
