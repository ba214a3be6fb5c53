"""Stands in for DeepSeek's generate.py, without its model: the same options, meeting and conversation, over gloo."""

from __future__ import annotations

import os
from argparse import ArgumentParser

import torch.distributed as dist  # type: ignore[import-not-found]  # of the environment that runs it


def main() -> None:
    words = ArgumentParser()
    words.add_argument("--ckpt-path", required=True)
    words.add_argument("--config", required=True)
    words.add_argument("--interactive", action="store_true", required=True)
    words.parse_args()
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo")
    while True:
        told = [input(">>> ") if rank == 0 else None]
        dist.broadcast_object_list(told, 0)
        if told[0] == "/exit":
            break
        if rank == 0:
            print(f"{dist.get_world_size()} ranks heard {told[0]}")  # noqa: T201 -- as the script does
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
