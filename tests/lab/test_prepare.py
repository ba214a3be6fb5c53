"""What is made of a download on the hosts; DeepSeek's convert.py is a stand-in, the cast to BF16 is real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from r1fleet.lab import Lab
from tests.lab.reach import answer, ask, r1fleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

SHELF = "/srv/prepared"
CONVERT = """
import argparse, os, shutil
parser = argparse.ArgumentParser()
for name in ("--hf-ckpt-path", "--save-path", "--n-experts", "--model-parallel"):
    parser.add_argument(name, required=True)
given = parser.parse_args()
count = int(given.model_parallel)
assert int(given.n_experts) % count == 0
os.makedirs(given.save_path, exist_ok=True)
for rank in range(count):
    shutil.copyfile(given.hf_ckpt_path + "/w.safetensors", f"{given.save_path}/model{rank}-mp{count}.safetensors")
shutil.copyfile(given.hf_ckpt_path + "/tokenizer.json", given.save_path + "/tokenizer.json")
"""


def write(lab: Lab, file: Path, deployments: dict[str, Any]) -> list[str]:
    """Write an inventory, and return the options that name it."""
    written = yaml.safe_load(lab.inventory.read_text())
    written["all"]["vars"].update({"weights_dir": SHELF, "deployments": deployments})
    file.write_text(yaml.safe_dump(written))
    return ["-i", str(file)]


@pytest.fixture
def tools(lab: Lab) -> Iterator[Lab]:
    """Hosts with the stand-in for DeepSeek's scripts."""
    for host in ("h1", "h2"):
        answer(lab, host, "sudo mkdir -p /opt/stub/bin /opt/ds && sudo ln -sf /usr/bin/python3 /opt/stub/bin/python")
        assert ask(lab, host, "sudo tee /opt/ds/convert.py", stdin=CONVERT).returncode == 0
    yield lab
    for host in ("h1", "h2"):
        ask(lab, host, f"sudo rm -rf /opt/stub /opt/ds {SHELF} /var/lib/r1fleet/weights")


def test_a_checkpoint_for_each_rank_is_made_once_and_brought_to_all(tools: Lab, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    header = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (source / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"abcd")
    (source / "tokenizer.json").write_text("{}")
    spec = {
        "engine": "deepseek",
        "model": "deepseek-ai/DeepSeek-V3",
        "hosts": "nodes",
        "machine": "8xH200",
        "venv": "/opt/stub",
        "scripts": "/opt/ds",
        "job": {"prompts": ["hello"]},
    }
    where = write(tools, tmp_path / "fleet.yaml", {"ds": spec})
    assert "to be made of it" in r1fleet("sync", "--from", str(source), "--check", *where).stdout

    done = r1fleet("sync", "--from", str(source), *where)

    assert done.returncode == 0, done.stderr
    made = f"{SHELF}/deepseek-ai--DeepSeek-V3@main-mp16"
    assert answer(tools, "h2", f"ls {made}/*.safetensors | wc -l") == "16"
    seals = {answer(tools, host, f"sha256sum {made}/.r1fleet-manifest.json") for host in ("h1", "h2")}
    assert len(seals) == 1
    assert answer(tools, "h1", f"ls -A {SHELF} | grep part || true") == ""
    again = r1fleet("sync", *where)
    assert "nothing to do" in again.stdout
    assert ": prepare: " not in again.stdout


@pytest.mark.slow
def test_fp8_weights_are_cast_to_bf16_and_no_longer_called_fp8(serving: Lab, tmp_path: Path) -> None:
    python = "sudo /opt/r1fleet/venvs/vllm/bin/python -"
    program = Path(__file__).with_name("make_fp8.py").read_text()
    assert ask(serving, "h1", f"{python} /tmp/fp8/model", stdin=program).returncode == 0
    spec = {
        "engine": "vllm",
        "accelerator": "cpu",
        "model": "org/fp8",
        "hosts": "nodes",
        "tensor_parallel": 2,
        "venv": "/opt/r1fleet/venvs/vllm",
        "prepare": {"bf16": True},
    }
    where = write(serving, tmp_path / "fleet.yaml", {"cast": spec})

    done = r1fleet("sync", "--from", "/tmp/fp8/model", "--on", "h1", *where, seconds=280)

    assert done.returncode == 0, done.stderr
    made = f"{SHELF}/org--fp8@main-bf16"
    assert "quantization_config" not in json.loads(answer(serving, "h2", f"cat {made}/config.json"))
    compared = f"""
from safetensors.torch import load_file
weight = load_file("{made}/model-00001-of-00002.safetensors")["proj.weight"]
wanted = load_file("/tmp/fp8/wanted.safetensors")["proj.weight"]
print(weight.dtype, bool(((weight.float() - wanted).abs() <= wanted.abs() / 15 + wanted.abs().max() / 448).all()))
"""
    told = ask(serving, "h1", python, stdin=compared)
    assert told.stdout.split() == ["torch.bfloat16", "True"], told.stderr
    assert made in r1fleet("plan", "cast", *where).stdout
    for host in ("h1", "h2"):
        answer(serving, host, f"sudo rm -rf {SHELF} /tmp/fp8")
