"""Steps that any engine can want between a download and what it reads: a cast to BF16, files laid over it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import Final

from r1fleet.command import cmd
from r1fleet.engines.interface import Preparation, RankRequest

DERIVES: Final = ("folder", "bf16", "overlay")
"""The keys of ``prepare`` that have a meaning for every engine that reads a hub's own files."""


def derivations(request: RankRequest) -> Iterator[Preparation]:
    """Yield the steps, in order; none where the engine reads the download itself."""
    prepare, target = request.deployment.prepare, str(request.deployment.model_path)
    if prepare.download is None:
        return
    if prepare.bf16:
        cast = resources.files("r1fleet.engines").joinpath("scripts", "cast_bf16.py").read_text(encoding="utf-8")
        command = cmd(request.program("python"), "-", prepare.download, target)
        why = "cast to BF16, twice as large as FP8, without quantization_config"
        yield Preparation(why, command, {}, folder=target, stdin=cast)
    else:
        # Hard links take no room; an overlaid file takes the place of its link.
        yield Preparation(
            "links to the download's files", cmd("cp", "-rl", f"{prepare.download}/.", target), {}, target
        )
    if prepare.overlay:
        laid = cmd("cp", "--remove-destination", "-r", f"{prepare.overlay}/.", target)
        yield Preparation("the files of prepare.overlay over them", laid, {}, folder=target)
