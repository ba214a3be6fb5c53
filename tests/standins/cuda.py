"""Stand-ins for NVIDIA's CUDA repositories: keyring, toolkits, what drags a driver along, local installers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.standins.aptrepo import Signer, write_flat
from tests.standins.deb import Deb
from tests.standins.driver import driver, nvlink5
from tests.standins.outputs import nvcc

LABEL = "NVIDIA CUDA"
TOOLKITS = {
    "12.6": ("12.6.3-1", "85"),
    "12.8": ("12.8.1-1", "93"),
    "13.0": ("13.0.2-1", "48"),
    "13.3": ("13.3.0-1", "21"),
}
_PIN = f"Package: *\nPin: release l={LABEL}\nPin-Priority: 600\n"


def write_repositories(folder: Path, signer: Signer, versions: Iterable[str], address: str) -> None:
    """Write ``repos/<id>/x86_64`` for each distribution, with drivers of ``versions``; WSL's has none."""
    versions = list(versions)
    for identity, build in (("ubuntu2204", "1ubuntu1"), ("ubuntu2404", "1ubuntu1"), ("debian12", "1")):
        drivers = [deb for version in versions for deb in driver(version, build)]
        _write(folder, identity, signer, address, [*drivers, *nvlink5(), *toolkits(), *dragging()])
    _write(folder, "wsl-ubuntu", signer, address, list(toolkits()))


def _write(folder: Path, identity: str, signer: Signer, address: str, debs: list[Deb]) -> None:
    target = folder / "repos" / identity / "x86_64"
    ring = keyring(identity, signer.binary, address)
    write_flat(target, [*debs, ring], signer, Label=LABEL)
    (target / "3bf863cc.pub").write_bytes(signer.armored)


def keyring(identity: str, key: bytes, address: str) -> Deb:
    """Return cuda-keyring: the key, the source and its priority; ``address`` is what the source names."""
    ring = "/usr/share/keyrings/cuda-archive-keyring.gpg"
    source = f"deb [signed-by={ring}] {address}/repos/{identity}/x86_64/ /\n"
    files: dict[str, str | bytes] = {
        ring: key,
        f"/etc/apt/sources.list.d/cuda-{identity}-x86_64.list": source,
        "/etc/apt/preferences.d/cuda-repository-pin-600": _PIN,
    }
    return Deb("cuda-keyring", "1.1-1", files=files, architecture="all")


def toolkits() -> Iterator[Deb]:
    """Yield every toolkit, and of 12.8 an older version as well."""
    for release, (version, build) in TOOLKITS.items():
        yield from toolkit(release, version, build)
    yield from toolkit("12.8", "12.8.0-1", "61")


def toolkit(release: str, version: str, build: str) -> Iterator[Deb]:
    """Yield a toolkit's metapackage and the parts it consists of here, which have versions of their own."""
    dashed = release.replace(".", "-")
    home = f"/usr/local/cuda-{release}"
    priority = release.replace(".", "")
    link = f"update-alternatives --install /usr/local/cuda cuda {home} {priority}"
    part = f"{release}.{build}-1"
    yield Deb(f"cuda-nvcc-{dashed}", part, programs={f"{home}/bin/nvcc": nvcc(release, build)})
    yield Deb(
        f"cuda-cudart-{dashed}",
        part,
        files={f"{home}/lib64/libcudart.so": "stand-in\n"},
        scripts={
            "postinst": f"#!/bin/sh\nset -e\n{link}\n",
            "prerm": f"#!/bin/sh\nupdate-alternatives --remove cuda {home}\n",
        },
    )
    needs = ", ".join(f"cuda-{name}-{dashed} (>= {part})" for name in ("nvcc", "cudart"))
    yield Deb(f"cuda-toolkit-{dashed}", version, {"Depends": needs})


def dragging() -> Iterator[Deb]:
    """Yield the metapackages that bring a driver along, which nothing of ours may install."""
    for release, (version, _) in TOOLKITS.items():
        dashed = release.replace(".", "-")
        yield Deb(f"cuda-{dashed}", version, {"Depends": f"cuda-toolkit-{dashed}, cuda-drivers"})
        yield Deb("cuda", version, {"Depends": f"cuda-{dashed}"})


def local_installer(identity: str, release: str, version: str, signer: Signer) -> Deb:
    """Return the package that holds a whole repository below /var, and its source; the key is copied by hand."""
    name = f"cuda-repo-{identity}-{release.replace('.', '-')}-local"
    ring = "cuda-STANDIN-keyring.gpg"
    source = f"deb [signed-by=/usr/share/keyrings/{ring}] file:///var/{name} /\n"
    with tempfile.TemporaryDirectory() as folder:
        write_flat(Path(folder), list(toolkit(release, f"{version}-1", "61")), signer, Label=LABEL)
        files: dict[str, str | bytes] = {
            f"/var/{name}/{path.name}": path.read_bytes() for path in Path(folder).iterdir()
        }
    files[f"/var/{name}/{ring}"] = signer.binary
    files[f"/etc/apt/sources.list.d/{name.removeprefix('cuda-repo-')}.list"] = source
    return Deb(name, f"{version}-1", files=files)
