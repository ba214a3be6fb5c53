"""What must be alike on all hosts of a deployment, and where it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from r1fleet.facts.report import Report
from r1fleet.preflight.check import Check, Ground, LookAtAll, Seen, Verdict, few


def _alike(what: str, value_of: Callable[[Report], str]) -> LookAtAll:
    """Compare one value between hosts; those that differ from most are named, a value that is not told is unknown."""

    def look(ground: Ground) -> Iterator[tuple[str, Seen]]:
        values = {host: value_of(report) for host, report in ground.reports.items()}
        yield from _compared(what, values)

    return look


def _answers(what: str, kind: str) -> LookAtAll:
    def look(ground: Ground) -> Iterator[tuple[str, Seen]]:
        values = {
            host: answer.value
            for host, answers in ground.answers.items()
            for answer in answers
            if answer.kind == kind and answer.ok
        }
        if any(values.values()):  # a host that has none differs from those that have one
            yield from _compared(what, {host: value[:12] or "none" for host, value in values.items()})

    return look


def _compared(what: str, values: dict[str, str]) -> Iterator[tuple[str, Seen]]:
    told = {host: value for host, value in values.items() if value}
    if len(values) < 2 or not told:
        return
    usual, _ = Counter(told.values()).most_common(1)[0]
    for host, value in values.items():
        if not value:
            yield host, Seen(None, f"{what}: not told")
        elif value == usual:
            yield host, Seen(True, f"{what}: {value}")
        else:
            others = [other for other, same in told.items() if same == usual]
            yield host, Seen(False, f"{what}: {value}, not {usual} as on {few(others)}", {"usual": usual})


def _clocks(ground: Ground) -> Iterator[tuple[str, Seen]]:
    """Compare the hosts' clocks with one another: the controller's own may be wrong."""
    if len(ground.reports) < 2:
        return
    offsets = sorted(report.offset for report in ground.reports.values())
    middle = offsets[len(offsets) // 2]
    for host, report in ground.reports.items():
        off = report.offset - middle
        yield host, Seen(abs(off) - report.offset_error <= 2.0, f"{off:+.1f} s against most")


def _nccl(report: Report) -> str:
    found = (report.packages or {}).get("libnccl2")
    return found.version if found else ""


def _gpus(report: Report) -> str:
    counted = Counter(gpu.name for gpu in report.nvidia.gpus)
    dies = {report.vastai.card or "Vastai die": report.vastai.dies} if report.vastai.dies else {}
    return ", ".join(f"{count} x {name}" for name, count in {**counted, **dies}.items())


def _interfaces(report: Report) -> str:
    return " ".join(one.name for one in report.network.interfaces if one.addresses and one.name != "lo")


def _adapters(report: Report) -> str:
    return ", ".join(sorted(f"{port.device} {port.rate}" for port in report.rdma))


# fmt: off
CHECKS: Final = (
    Check("same-gpus", "several hosts", Verdict.FAIL, "ranks are planned for hosts that are alike",
          "leave {host} out of the group, or give it a group and a deployment of its own",
          look_at_all=_alike("devices", _gpus)),
    Check("same-driver", "several hosts", Verdict.FAIL, "unequal drivers hang or crash NCCL without a word",
          "r1fleet provision INVENTORY --limit {host} --tags driver   (most have {usual})",
          look_at_all=_alike("driver", lambda report: report.nvidia.driver or report.vastai.driver)),
    Check("same-toolkit", "several hosts", Verdict.WARN, "container toolkits of unequal versions",
          "r1fleet provision INVENTORY --limit {host} --tags docker",
          look_at_all=_alike("container toolkit", lambda report: report.container_toolkit)),
    Check("same-cuda", "several hosts", Verdict.WARN, "CUDA toolkits of unequal versions compile other kernels",
          "r1fleet provision INVENTORY --limit {host} --tags cuda",
          look_at_all=_alike("CUDA toolkit", lambda report: report.nvidia.toolkit)),
    Check("same-docker", "several hosts", Verdict.WARN, "container engines of unequal versions",
          "r1fleet provision INVENTORY --limit {host} --tags docker",
          look_at_all=_alike("docker", lambda report: report.docker.version)),
    Check("same-nccl", "several hosts", Verdict.WARN, "NCCL of unequal versions does not speak with itself",
          "install the same libnccl2 on {host} as on the others", look_at_all=_alike("NCCL", _nccl)),
    Check("same-kernel", "several hosts", Verdict.WARN, "another kernel: its driver was built apart",
          "upgrade and reboot the hosts together", look_at_all=_alike("kernel", lambda report: report.kernel)),
    Check("same-interfaces", "several hosts", Verdict.WARN,
          "interfaces have other names: one setting for all would be wrong",
          "set r1fleet_interface for each host", look_at_all=_alike("interfaces", _interfaces)),
    Check("same-adapters", "several hosts", Verdict.WARN, "RDMA adapters differ in number or rate",
          "r1fleet facts {host}; look for a port that is down", look_at_all=_alike("RDMA adapters", _adapters)),
    Check("same-clock", "several hosts", Verdict.WARN, "logs of ranks cannot be put in order, leases expire early",
          "ssh {host} sudo timedatectl set-ntp true", look_at_all=_clocks),
    Check("same-environment", "a deployment in a venv", Verdict.FAIL, "the engine's environments differ",
          "r1fleet provision INVENTORY, all hosts together", look_at_all=_answers("the engine's environment",
          "marker")),
    Check("same-image", "a deployment with docker", Verdict.FAIL,
          "the image differs between hosts, though its name is the same",
          "r1fleet provision INVENTORY --tags image, all hosts together",
          look_at_all=_answers("the image's digest", "image")),
    Check("same-weights", "a deployment", Verdict.FAIL, "the weights' manifests differ",
          "r1fleet sync -i INVENTORY",
          look_at_all=_answers("the model's manifest", "model")),
)
