#!/usr/bin/python3
"""Stand-in for nvidia-ctk: `runtime configure`, `cdi generate`, `cdi list`, `--version`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

DOCKER = "/etc/docker/daemon.json"
CONTAINERD = "/etc/containerd/conf.d/99-nvidia.toml"


def main(words: list[str]) -> int:
    flags = dict(word.lstrip("-").partition("=")[::2] for word in words if word.startswith("-"))
    verbs = [word for word in words if not word.startswith("-")]
    if "version" in flags:
        sys.stdout.write("NVIDIA Container Toolkit CLI version VERSION_OF_THE_STAND_IN\n")
    elif verbs == ["runtime", "configure"]:
        configure(flags)
    elif verbs == ["cdi", "generate"]:
        write(flags["output"], 'cdiVersion: "0.7.0"\nkind: nvidia.com/gpu\n# stand-in\n')
    elif verbs == ["cdi", "list"]:
        sys.stdout.write("nvidia.com/gpu=0\nnvidia.com/gpu=all\n")
    else:
        sys.stderr.write(f"stand-in for nvidia-ctk: not made for {words}\n")
        return 1
    return 0


def configure(flags: dict[str, str]) -> None:
    default = "set-as-default" in flags or "nvidia-set-as-default" in flags
    if flags["runtime"] == "containerd":
        text = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]\n'
        write(flags.get("drop-in-config", CONTAINERD), text + '  BinaryName = "/usr/bin/nvidia-container-runtime"\n')
        return
    path = Path(flags.get("config", DOCKER))
    settings = json.loads(path.read_text()) if path.exists() else {}
    settings.setdefault("runtimes", {})["nvidia"] = {"args": [], "path": "nvidia-container-runtime"}
    if default:
        settings["default-runtime"] = "nvidia"
    if "cdi.enabled" in flags or "enable-cdi" in flags:
        settings.setdefault("features", {})["cdi"] = True
    write(str(path), json.dumps(settings, indent=4, sort_keys=True))


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
