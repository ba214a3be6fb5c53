"""The roles mirrors and hardware, played on this machine with stand-in folders of PCI devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.reach import ROOT, r1fleet

PLAY = """
- hosts: all
  roles: [mirrors, hardware]
  tasks:
    - ansible.builtin.copy: {dest: "{{ told }}", content: "{{ answer | to_json }}"}
      vars:
        answer:
          gpus: "{{ hardware_nvidia }}"
          names: "{{ hardware_names }}"
          unknown: "{{ hardware_unknown }}"
          nvswitch: "{{ hardware_nvswitch }}"
          nvlink5: "{{ hardware_nvlink5 }}"
          vastai: "{{ hardware_vastai | length }}"
          wsl: "{{ hardware_wsl }}"
          cuda: "{{ mirrors_cuda }}"
          docker: "{{ mirrors_docker_ce }}"
          registries: "{{ mirrors_registries }}"
"""
GPU, SWITCH, BRIDGE, DIE = "0x030200", "0x068000", "0x060400", "0x120000"


class Machine:
    """This machine, with PCI devices of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pci").mkdir()
        (folder / "roles").symlink_to(ROOT / "roles")
        (folder / "site.yml").write_text(PLAY)
        (folder / "here.yaml").write_text("all: {hosts: {here: {ansible_connection: local}}}\n")

    def has(self, *devices: tuple[str, str, str]) -> Machine:
        for number, device in enumerate(devices):
            path = self.folder / "pci" / f"0000:{number:02x}:00.0"
            path.mkdir()
            for name, value in zip(("vendor", "device", "class"), device, strict=True):
                (path / name).write_text(f"{value}\n")
        return self

    def play(self, **variables: str) -> tuple[int, str]:
        extra = {
            "hardware_pci": self.folder / "pci",
            "told": self.folder / "told.json",
            "hardware_wsl_device": self.folder / "dxg",
            "hardware_wsl_smi": self.folder / "smi",
            **variables,
        }
        words = [word for name, value in extra.items() for word in ("-e", f"{name}={value}")]
        done = r1fleet("play", str(self.folder / "site.yml"), "-i", str(self.folder / "here.yaml"), *words)
        return done.returncode, done.stdout + done.stderr

    def tells(self, **variables: str) -> dict[str, Any]:
        status, text = self.play(**variables)
        assert status == 0, text
        answer: dict[str, Any] = json.loads((self.folder / "told.json").read_text())
        return answer


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_gpus_and_switches_are_found_by_their_ids(machine: Machine) -> None:
    told = machine.has(
        ("0x10de", "0x2335", GPU), ("0x10de", "0x2335", GPU), ("0x10de", "0x22a3", SWITCH), ("0x8086", "0x2335", BRIDGE)
    ).tells()
    assert (told["gpus"], told["names"]) == (["2335", "2335"], ["H200 SXM"])
    assert (told["nvswitch"], told["nvlink5"], told["vastai"], told["unknown"]) == (True, False, 0, [])


def test_a_machine_without_accelerators_has_none(machine: Machine) -> None:
    told = machine.tells()
    assert (told["gpus"], told["nvswitch"], told["vastai"], told["wsl"]) == ([], False, 0, False)


def test_dies_of_vastai_are_counted_and_are_no_gpus(machine: Machine) -> None:
    told = machine.has(*[("0x1ec6", "0x0100", DIE)] * 4).tells()
    assert (told["gpus"], told["vastai"]) == ([], 4)


def test_an_unknown_gpu_is_named_and_the_inventory_can_make_it_known(machine: Machine) -> None:
    machine.has(("0x10de", "0x2f04", GPU), ("0x10de", "0x2901", GPU))
    assert machine.tells()["unknown"] == ["2f04"]
    (machine.folder / "group_vars").mkdir()
    (machine.folder / "group_vars/all.yml").write_text('hardware_models_more: {"2f04": {name: RTX 5070}}\n')
    told = machine.tells()
    assert (told["unknown"], told["names"], told["nvlink5"]) == ([], ["RTX 5070", "B200"], True)


def test_wsl_is_known_by_its_device_or_windows_nvidia_smi(machine: Machine) -> None:
    (machine.folder / "smi").touch()
    assert not machine.tells()["wsl"], "an empty nvidia-smi is none"
    (machine.folder / "smi").write_text("#!/bin/sh\n")
    assert machine.tells()["wsl"]
    (machine.folder / "smi").unlink()
    (machine.folder / "dxg").touch()
    assert machine.tells()["wsl"]


def test_one_word_switches_all_sources_and_each_can_be_given(machine: Machine) -> None:
    assert machine.tells()["cuda"] == "https://developer.download.nvidia.com/compute/cuda"
    told = machine.tells(mirrors="china", mirrors_docker_ce="https://mirror.example/docker-ce")
    assert told["cuda"] == "https://developer.download.nvidia.cn/compute/cuda"
    assert told["docker"] == "https://mirror.example/docker-ce"
    assert len(told["registries"]) == 2


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"mirrors": "mars"}, "value of mirrors must be one of: public, china, got: mars"),
        ({"mirrors_github": "https://github.com/"}, "mirrors_github must be an http or https address without a slash"),
    ],
)
def test_a_source_that_is_none_is_refused_by_name(machine: Machine, variables: dict[str, str], words: str) -> None:
    status, text = machine.play(**variables)
    assert status == 2
    assert words in text
