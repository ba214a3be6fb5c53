"""Checks of accelerators and their drivers."""

from __future__ import annotations

import re
from typing import Final

from r1fleet.facts.nvidia import FAILURES
from r1fleet.preflight.check import Check, Seen, Site, Verdict
from r1fleet.preflight.expected import MACHINES

_DRIVER_PACKAGES: Final = (
    "nvidia-driver",
    "nvidia-open",
    "nvidia-dkms",
    "cuda-drivers",
    "nvidia-headless",
    "nvidia-kernel",
)
_SERIOUS: Final = re.compile(r"Xid[^:]*: .*?\b(48|63|64|74|79|94|95|119|120)\b|fallen off the bus", re.IGNORECASE)


def _driver(site: Site) -> Seen | None:
    nvidia = site.report.nvidia
    if not site.gpus:
        return None
    if not nvidia.present:
        return Seen(False, "nvidia-smi is not there")
    if nvidia.problem:
        why = next((meaning for _, word, meaning in FAILURES if word == nvidia.problem), "its answer cannot be read")
        return Seen(False, f"nvidia-smi: {nvidia.said or 'no text'} ({why})")
    return Seen(True, f"driver {nvidia.driver or 'of unknown version'}, CUDA {nvidia.cuda or 'unknown'}")


def _library(site: Site) -> Seen | None:
    nvidia = site.report.nvidia
    if not site.gpus or site.report.wsl or not nvidia.present:
        return None
    if nvidia.problem == "mismatch":
        return Seen(False, nvidia.said)
    if not nvidia.loaded or not nvidia.driver:
        return Seen(None, "the version of the loaded module, or of the library, is not told")
    return Seen(nvidia.loaded == nvidia.driver, f"kernel module {nvidia.loaded}, library {nvidia.driver}")


def _nouveau(site: Site) -> Seen | None:
    if not site.gpus or site.report.wsl:
        return None
    loaded = "nouveau" in site.report.modules
    return Seen(not loaded, "nouveau is loaded" if loaded else "nouveau is not loaded")


def _secure_boot(site: Site) -> Seen | None:
    if not site.gpus or site.report.wsl or site.report.secure_boot is None:
        return None
    works = bool(site.report.nvidia.gpus)
    if not site.report.secure_boot or works:
        return Seen(True, "the driver runs" if works else "off")
    return Seen(False, "Secure Boot is on and no driver runs: an unsigned module is refused")


def _wsl_driver(site: Site) -> Seen | None:
    if not site.report.wsl or site.report.packages is None:
        return None
    wrong = sorted(name for name in site.report.packages if name.startswith(_DRIVER_PACKAGES))
    return Seen(not wrong, ", ".join(wrong) if wrong else "no Linux driver", {"packages": " ".join(wrong)})


def _count(site: Site) -> Seen | None:
    want, nvidia = site.want, site.report.nvidia
    if want is None or not site.gpus or not nvidia.present or nvidia.problem:
        return None
    expected = MACHINES.get(want.machine.replace(" ", ""))
    least = max(want.devices, expected.devices if expected else 0)
    kinds = sorted({gpu.name for gpu in nvidia.gpus})
    found = f"{len(nvidia.gpus)} x {' and '.join(kinds) or 'nothing'}"
    if len(kinds) > 1:
        return Seen(False, f"{found}: GPUs of two kinds")
    return Seen(len(nvidia.gpus) >= least, f"{found}, {least} wanted")


def _busy(site: Site) -> Seen | None:
    if not site.gpus or site.report.nvidia.problem or not site.report.nvidia.gpus:
        return None
    chosen = site.want.chosen if site.want else ()
    held = [
        f"GPU {gpu.index}: pid {process.pid} ({process.name or 'unknown'})"
        for gpu in site.report.nvidia.gpus
        if not chosen or gpu.index in chosen
        for process in gpu.processes
    ]
    pids = " ".join(re.findall(r"pid (\d+)", " ".join(held)))
    return Seen(not held, "; ".join(held[:4]) if held else "nothing runs on them", {"pids": pids})


def _mig(site: Site) -> Seen | None:
    known = [gpu for gpu in site.report.nvidia.gpus if gpu.mig is not None] if site.gpus else []
    if not known:
        return None
    cut = [str(gpu.index) for gpu in known if gpu.mig]
    return Seen(not cut, f"MIG is on for GPU {', '.join(cut)}" if cut else "off")


def _errors(site: Site) -> Seen | None:
    known = [gpu for gpu in site.report.nvidia.gpus if gpu.uncorrected_errors is not None] if site.gpus else []
    if not known:
        return None
    bad = [f"GPU {gpu.index}: {gpu.uncorrected_errors}" for gpu in known if gpu.uncorrected_errors]
    return Seen(not bad, "; ".join(bad) if bad else "no uncorrectable errors since the driver was loaded")


def _persistence(site: Site) -> Seen | None:
    known = [gpu for gpu in site.report.nvidia.gpus if gpu.persistence is not None] if site.gpus else []
    if not known or site.report.wsl:
        return None
    off = [str(gpu.index) for gpu in known if not gpu.persistence]
    return Seen(not off, f"off for GPU {', '.join(off)}" if off else "on")


def _kernel_log(site: Site) -> Seen | None:
    if not (site.gpus or site.dies):
        return None
    lines = [line for line in site.report.complaints if _SERIOUS.search(line)]
    return Seen(not lines, lines[-1].strip()[-160:] if lines else "no serious Xid since the boot")


def _fabric(site: Site) -> Seen | None:
    if not site.gpus or not site.switched:
        return None
    report = site.report
    runs = "nvidia-fabricmanager" in report.active
    states = {gpu.fabric_state for gpu in report.nvidia.gpus if gpu.fabric_state}
    done = states <= {"Completed"} and {gpu.fabric_status for gpu in report.nvidia.gpus} <= {"Success", ""}
    what = f"nvidia-fabricmanager {'runs' if runs else 'does not run'}, fabric {', '.join(sorted(states)) or 'unknown'}"
    return Seen(runs and done, what)


def _fabric_version(site: Site) -> Seen | None:
    packages, driver = site.report.packages, site.report.nvidia.driver
    if not site.gpus or not site.switched or packages is None or not driver:
        return None
    found = {name: one.version for name, one in packages.items() if "fabricmanager" in name or "fabric-manager" in name}
    if not found:
        return Seen(False, "no package of the fabric manager", {"driver": driver})
    plain = {name: re.sub(r"^\d+:", "", version).split("-")[0] for name, version in found.items()}
    wrong = [f"{name} {version}" for name, version in plain.items() if version != driver]
    return Seen(
        not wrong, f"driver {driver}, {', '.join(wrong or [f'{n} {v}' for n, v in plain.items()])}", {"driver": driver}
    )


def _held(site: Site) -> Seen | None:
    packages = site.report.packages
    if not site.gpus or site.report.wsl or packages is None or "unattended-upgrades" not in packages:
        return None
    pinned = any(name.startswith("nvidia-driver-pinning") for name in packages)
    loose = sorted(
        name
        for name, one in packages.items()
        if one.held is False and (name.startswith(_DRIVER_PACKAGES) or "fabricmanager" in name)
    )
    good = pinned or not loose
    return Seen(good, "pinned or held" if good else f"not held: {', '.join(loose[:5])}", {"packages": " ".join(loose)})


def _vastai(site: Site) -> Seen | None:
    vastai = site.report.vastai
    if not site.dies:
        return None
    if not vastai.dies:
        return Seen(False, "no Vastai device (1ec6:0100) on the bus")
    if not vastai.loaded:
        return Seen(False, "the module vastai_pci is not loaded")
    wanted = site.want.devices if site.want else vastai.dies
    what = f"{vastai.dies} dies on the bus, {vastai.nodes} device nodes, {wanted} wanted"
    return Seen(vastai.nodes == vastai.dies and vastai.dies >= wanted, what)


def _vastai_iommu(site: Site) -> Seen | None:
    if not site.dies:
        return None
    report = site.report
    asked = re.findall(r"(?:intel_|amd_)?iommu=on", report.command_line)
    on = bool(asked) or report.iommu_groups > 0
    return Seen(not on, f"{report.iommu_groups} IOMMU groups{', ' + asked[0] if asked else ''}" if on else "off")


def _peer_path(site: Site) -> Seen | None:
    if not site.gpus or site.report.wsl or (site.want is not None and site.want.devices < 2 and not site.several):
        return None
    count = site.report.redirecting_bridges
    if count is None:
        return Seen(None, "the bridges' configuration cannot be read")
    groups = site.report.iommu_groups
    what = f"{count} bridges redirect traffic between devices (ACS), {groups} IOMMU groups"
    return Seen(count == 0, what)


CHECKS: Final = (
    Check("driver", "NVIDIA GPUs", Verdict.FAIL, "the driver is not there, or does not answer",
          "r1fleet provision INVENTORY --tags driver   (a new kernel needs its headers and dkms)",
          _driver),
    Check("driver-library", "NVIDIA GPUs", Verdict.FAIL,
          "the library was upgraded under the loaded kernel module", "ssh {host} sudo reboot", _library),
    Check("nouveau", "NVIDIA GPUs", Verdict.FAIL, "the kernel's own driver owns the GPUs",
          "r1fleet provision INVENTORY --tags driver   (blacklists nouveau), then reboot {host}", _nouveau),
    Check("secure-boot", "NVIDIA GPUs, firmware with Secure Boot", Verdict.FAIL,
          "the firmware lets only signed modules run",
          "enroll a key for the module (mokutil --import), or switch Secure Boot off in the firmware", _secure_boot),
    Check("wsl-driver", "WSL2", Verdict.FAIL, "a Linux driver inside WSL2 hides the one that Windows brings",
          "ssh {host} sudo apt-get purge {packages}", _wsl_driver),
    Check("gpu-count", "a deployment on NVIDIA GPUs", Verdict.FAIL, "GPUs are missing, or of two kinds",
          "ssh {host} 'lspci -d 10de: ; sudo dmesg | grep -i nvrm'   (one that fell off the bus needs a power cycle)",
          _count),
    Check("gpu-busy", "NVIDIA GPUs", Verdict.FAIL, "something holds the GPUs: often an orphan of an earlier launch",
          "r1fleet status; then, if they are nobody's: ssh {host} sudo kill {pids}", _busy),
    Check("mig", "NVIDIA GPUs that can be cut", Verdict.FAIL, "a GPU cut by MIG shows as a smaller one",
          "ssh {host} sudo nvidia-smi -mig 0", _mig),
    Check("gpu-errors", "NVIDIA GPUs with ECC", Verdict.WARN, "uncorrectable memory errors",
          "ssh {host} sudo nvidia-smi -r   (after all ranks stopped); if they come back, have the GPU replaced",
          _errors),
    Check("gpu-persistence", "NVIDIA GPUs", Verdict.WARN, "the driver is unloaded between runs: slow starts",
          "ssh {host} sudo systemctl enable --now nvidia-persistenced", _persistence),
    Check("kernel-log", "accelerators", Verdict.FAIL, "the driver reported an error of the hardware",
          "ssh {host} sudo dmesg -T | grep -e Xid -e 'off the bus'   then drain and reboot the host", _kernel_log),
    Check("fabric-manager", "NVSwitch machines only", Verdict.FAIL,
          "without it CUDA says: error 802, system not yet initialized",
          "ssh {host} sudo systemctl enable --now nvidia-fabricmanager", _fabric),
    Check("fabric-version", "NVSwitch machines only", Verdict.FAIL,
          "the fabric manager must be exactly the driver's version",
          "r1fleet provision INVENTORY --tags driver   (installs the fabric manager of driver {driver})",
          _fabric_version),
    Check("driver-held", "NVIDIA GPUs, unattended upgrades", Verdict.WARN,
          "an unattended upgrade would change the library under the loaded module",
          "ssh {host} sudo apt-mark hold {packages}", _held),
    Check("vastai", "Vastai cards", Verdict.FAIL, "dies or their driver are missing",
          "r1fleet provision INVENTORY --tags driver", _vastai),
    Check("vastai-iommu", "Vastai cards", Verdict.FAIL, "the vendor's containers refuse to start with an IOMMU",
          "take iommu=on out of the kernel's command line, set intel_iommu=off or amd_iommu=off, reboot {host}",
          _vastai_iommu),
    Check("peer-traffic", "several NVIDIA GPUs", Verdict.WARN,
          "access control on PCI bridges slows traffic between devices, or hangs NCCL",
          "switch ACS off in the firmware, or per bridge: setpci -s BRIDGE ECAP_ACS+0x6.w=0000", _peer_path),
)  # fmt: skip
