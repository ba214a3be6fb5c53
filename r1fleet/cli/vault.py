"""The options that give vault passwords, as ansible-playbook has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from r1fleet.cli.options import secret
from r1fleet.inventory.vault import Password, keyring, read_identity, read_password

Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--vault-password-file",
        "--vault-pass-file",
        help="File, or script, that gives the vault password (may be given again).",
        show_default=False,
    ),
]
Identities = Annotated[
    list[str] | None,
    typer.Option("--vault-id", help="Vault password: LABEL@FILE or LABEL@prompt.", show_default=False),
]
Ask = Annotated[bool, typer.Option("-J", "--ask-vault-pass", help="Ask for the vault password.")]


def unlock(files: list[Path] | None, identities: list[str] | None, *, ask: bool) -> None:
    """Put the vault passwords that the command line gives in front of the environment's."""
    given = [read_identity(identity, secret) for identity in identities or ()]
    given += [read_password(path) for path in files or ()]
    if ask:
        given.append(Password(secret("Vault password").encode()))
    if given:
        keys = keyring()
        keys.passwords = (*given, *keys.passwords)
