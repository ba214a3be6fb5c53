"""What every engine on Vastai cards is told in its environment: which dies, and that collectives stay on the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from r1fleet.engines.interface import RankRequest


def dies_of(request: RankRequest) -> Sequence[int]:
    """Return the numbers of the dies that a rank takes: those chosen, else the first ones."""
    return request.node.chosen or range(request.node.devices)


def vastai_environment(request: RankRequest) -> Iterator[tuple[str, str]]:
    """Yield the vendor's variables; the last two only where a pipeline carries the longer prefill."""
    yield "VACC_VISIBLE_DEVICES", ",".join(map(str, dies_of(request)))
    yield "VCCL_SOCKET_IFNAME", "lo"
    if request.gang.parallel.pipeline > 1:
        yield "LLM_MAX_PREFILL_SEQ_LEN", "102400"
        yield "FUSE_ALL_DECODER_LAYERS", "0"
