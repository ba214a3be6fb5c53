"""What NVIDIA's tools print, old, new and broken; layouts of captures, no device was asked."""

from __future__ import annotations

import pytest

from r1fleet.facts.nvidia import failure_of, read_banner, read_module, read_nvcc, read_topology, read_xml
from tests.told import gpu, process, smi_xml

OLD = """+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 570.158.01             Driver Version: 570.158.01     CUDA Version: 12.8     |
|-----------------------------------------+------------------------+----------------------+"""
NEW = "| NVIDIA-SMI 610.57.04              KMD Version: 610.57.04     CUDA UMD Version: 13.3     |\n+-----"
HEAD = "\t\x1b[4mGPU0\tGPU1\tGPU2\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID"
TOPOLOGY = (
    f"{HEAD}\x1b[0m\n"
    "GPU0\t X \tNV18\tNV18\tPIX\t0-55\t0\t\tN/A\n"
    "GPU1\tNV18\t X \tNV18\tNODE\t0-55\t0\t\tN/A\n"
    "GPU2\tNV18\tNV18\t X \tSYS\t56-111\t1\t\tN/A\n"
    "NIC0\tPIX\tNODE\tSYS\t X \t\t\t\t\n\nLegend:\n\n"
    "  X    = Self\n  SYS  = Connection\n\nNIC Legend:\n\n  NIC0: mlx5_0\n"
)


def test_banners_of_both_namings() -> None:
    assert read_banner(OLD) == ("570.158.01", "12.8")
    assert read_banner(NEW) == ("610.57.04", "13.3")
    assert read_banner("| NVIDIA-SMI 535.103   Driver Version: 537.13   CUDA Version: ERR! |") == ("537.13", "")
    assert read_banner("") == ("", "")


def test_a_document_with_eight_devices() -> None:
    read = read_xml(smi_xml(*(gpu(index) for index in range(8))))
    assert read is not None
    driver, cuda, gpus = read
    assert (driver, cuda, len(gpus)) == ("570.158.01", "12.8", 8)
    first = gpus[0]
    assert (first.name, first.memory_mib, first.mig, first.persistence) == ("NVIDIA H200", 143771, False, True)
    assert (first.fabric_state, first.uncorrected_errors, first.bus) == ("Completed", 0, "00000000:00:00.0")


def test_what_newer_drivers_call_otherwise_and_warnings_in_front() -> None:
    text = (
        "WARNING: infoROM is corrupted at gpu 0000:83:00.0\n<?xml version='1.0' ?><nvidia_smi_log>"
        "<driver_version>610.57.04 [Deprecated; will be removed in CUDA 14.0. Use KMD Version instead]</driver_version>"
        "<kmd_version>610.57.04</kmd_version><cuda_umd_version>13.3</cuda_umd_version></nvidia_smi_log>"
    )
    assert read_xml(text) == ("610.57.04", "13.3", ())


def test_values_that_are_not_told_are_unknown() -> None:
    read = read_xml(smi_xml(gpu(0, "NVIDIA GB10", memory="[N/A]", mig="N/A", state="N/A", status="N/A", errors="N/A")))
    assert read is not None
    [one] = read[2]
    assert (one.memory_mib, one.mig, one.fabric_state, one.uncorrected_errors) == (None, None, "", None)


def test_processes_on_devices() -> None:
    read = read_xml(
        smi_xml(gpu(0, processes=process(4242, "/usr/bin/python3") + "<process_info><pid>x</pid></process_info>"))
    )
    assert read is not None
    assert [(one.pid, one.name, one.memory_mib) for one in read[2][0].processes] == [(4242, "/usr/bin/python3", 1024)]


@pytest.mark.parametrize("text", ["", "no xml", smi_xml(gpu(0))[:-40], "<?xml version='1.0'?>", "\x00\x1b[4m<?xml"])
def test_output_that_was_cut_is_no_document(text: str) -> None:
    assert read_xml(text) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure", "no-driver"),
        ("Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.126", "mismatch"),
        ("Failed to initialize NVML: Unknown Error", "lost"),
        ("No devices were found", "no-devices"),
        ("Segmentation fault", "unreadable"),
        ("", "unreadable"),
    ],
)
def test_why_it_failed(text: str, word: str) -> None:
    assert failure_of(text) == (word, text.splitlines()[0] if text else "")


def test_a_matrix_with_codes_in_its_heading() -> None:
    read = read_topology(TOPOLOGY)
    assert read is not None
    assert (read.between("GPU0", "GPU1"), read.between("GPU2", "NIC0"), read.between("GPU1", "GPU1")) == (
        "NV18",
        "SYS",
        "X",
    )
    assert read.adapters == {"NIC0": "mlx5_0"}
    assert read.between("GPU0", "GPU9") == ""


@pytest.mark.parametrize("text", ["", "No devices were found", HEAD, TOPOLOGY.splitlines()[1]])
def test_no_matrix(text: str) -> None:
    assert read_topology(text) is None


def test_versions_of_the_compiler_and_the_module() -> None:
    assert read_nvcc("Cuda compilation tools, release 12.8, V12.8.93\nBuild cuda_12.8") == "12.8.93"
    assert read_nvcc("Cuda compilation tools, release 9.0") == "9.0"
    assert read_nvcc("bash: nvcc: not found") == ""
    module = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.158.01  Release Build  (root@b)"
    assert read_module(module) == "570.158.01"
    assert read_module("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Sat Feb") == "535.161.08"
    assert read_module("") == ""
