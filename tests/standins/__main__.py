"""``python -m tests.standins ARCHIVE URL``: write all stand-in repositories, as served at URL, into a tar."""

from __future__ import annotations

import io
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.standins import container, cuda, debhost
from tests.standins.aptrepo import Signer

DRIVERS = ("580.126.20", "580.178.04", "595.71.05", "610.57.04")


def main(archive: str, url: str) -> None:
    """Write the tar."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        served = Path(folder) / "served"
        signer = Signer.make(Path(folder) / "gpg")
        try:
            cuda.write_repositories(served / "cuda", signer, DRIVERS, f"{url}/cuda")
            container.write_repository(served / "toolkit", signer)
            debhost.archive(served / "archive", signer, container.engines())
            (served / "key.gpg").write_bytes(signer.binary)
        finally:
            signer.close()
        tar.add(served, "served")
        for name, devices in debhost.GPUS.items():
            for path, text in debhost.devices(devices):
                entry = tarfile.TarInfo(f"pci/{name}/{path}")
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))


if __name__ == "__main__":
    main(*sys.argv[1:])
