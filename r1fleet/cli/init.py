"""``r1fleet init``: a new project folder with examples."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from r1fleet.errors import UsageError
from r1fleet.packaged import packaged

app = typer.Typer(rich_markup_mode=None, add_completion=False)

NEXT = """{folder}/
  inventories/   one file per cluster: edit the addresses in h200.yaml
  playbooks/     what `r1fleet provision` runs; roles come with r1fleet, yours go into {folder}/roles/

next:
  cd {folder}
  r1fleet plan -i inventories/h200.yaml       every rank's exact command, before any host is touched
  r1fleet provision inventories/h200.yaml
  r1fleet launch
"""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to make.", show_default=False)],
) -> None:
    """Make a new project folder with example inventories and playbooks."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and not empty", hint="name a folder that does not exist yet")
    (folder / "roles").mkdir(parents=True)
    for kind, patterns in {"inventories": ("*.yaml",), "playbooks": ("*.yaml",)}.items():
        target = folder / kind
        target.mkdir()
        for pattern in patterns:
            for source in sorted(packaged(kind).glob(pattern)):
                shutil.copy(source, target / source.name)
    typer.echo(NEXT.format(folder=folder), nl=False)
