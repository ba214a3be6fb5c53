"""What the stand-ins' programs print: texts put together from captured outputs, never by a GPU of ours."""

from __future__ import annotations

# Toolkit and the CUDA version that a branch's banner shows.
CUDA_OF = {"535": "12.2", "550": "12.4", "570": "12.8", "580": "13.0", "590": "13.1", "595": "13.2", "610": "13.3"}


def nvidia_smi(version: str) -> str:
    """Write the program nvidia-smi of a driver: its banner, and its answer to ``--query-gpu=driver_version``."""
    return f"""#!/bin/sh
case "$*" in
  *--query-gpu=driver_version*) echo "{version}" ;;
  -L) echo "GPU 0: NVIDIA H200 (UUID: GPU-00000000-0000-0000-0000-000000000000)" ;;
  *) cat <<'END'
{banner(version)}
END
  ;;
esac
"""


def banner(version: str) -> str:
    """Return the table of one H200; its first line changed at 610."""
    branch = version.split(".", 1)[0]
    cuda = CUDA_OF[branch]
    if int(branch) >= 610:
        first = f"NVIDIA-SMI {version:<22} KMD Version: {version:<17} CUDA UMD Version: {cuda}"
    else:
        first = f"NVIDIA-SMI {version:<22} Driver Version: {version:<14} CUDA Version: {cuda}"
    return f"""\
+-----------------------------------------------------------------------------------------+
| {first:<87} |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA H200                     On |   00000000:0A:00.0 Off |                    0 |
| N/A   32C    P0            120W /  700W |       0MiB / 143771MiB |      0%      Default |
|                                         |                        |             Disabled |
+-----------------------------------------+------------------------+----------------------+"""


def nvcc(release: str, build: str) -> str:
    """Write the program nvcc."""
    return f"""#!/bin/sh
echo "nvcc: NVIDIA (R) Cuda compiler driver"
echo "Cuda compilation tools, release {release}, V{release}.{build}"
"""


# nvidia-smi of a WSL2 host, part of Windows' driver; no public capture of this card's whole banner was found.
WSL_SMI = """#!/bin/sh
echo "| NVIDIA-SMI 565.77.01              Driver Version: 566.36         CUDA Version: 12.7     |"
"""
