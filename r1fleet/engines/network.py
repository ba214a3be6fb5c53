"""The variables with which collectives of several hosts find one another; they differ from host to host."""

from __future__ import annotations

from collections.abc import Iterator

from r1fleet.engines.interface import RankRequest


def network_environment(request: RankRequest) -> Iterator[tuple[str, str]]:
    """Yield what Gloo and NCCL must be told on this host; nothing for a gang of one host."""
    node = request.node
    if request.hosts == 1:
        return
    yield "GLOO_SOCKET_IFNAME", node.interface
    if request.deployment.accelerator != "nvidia":
        return
    yield "NCCL_SOCKET_IFNAME", node.interface
    if node.hcas:
        yield "NCCL_IB_HCA", ",".join(node.hcas)
    if node.gid_index is not None:
        yield "NCCL_IB_GID_INDEX", str(node.gid_index)


def device_environment(request: RankRequest) -> Iterator[tuple[str, str]]:
    """Yield which devices of the host are meant; a container is given no others in the first place."""
    chosen, deployment = request.node.chosen, request.deployment
    if deployment.accelerator == "nvidia" and chosen and deployment.runtime != "docker":
        yield "CUDA_VISIBLE_DEVICES", ",".join(map(str, chosen))
