"""Write the wheels that the play installs: one module of two versions, and one that needs it."""

import sys
import zipfile
from pathlib import Path


def write(folder: Path, name: str, version: str, needs: str = "") -> None:
    """Write one wheel."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: rehearsal\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{info}/RECORD"
    files[record] = "".join(f"{path},,\n" for path in [*files, record])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, content in files.items():
            wheel.writestr(zipfile.ZipInfo(path), content)


target = Path(sys.argv[1])
target.mkdir(parents=True, exist_ok=True)
write(target, "rehearsed", "1.0")
write(target, "rehearsed", "1.5")
write(target, "rehearsing", "0.1", "Requires-Dist: rehearsed>=1.0\n")
