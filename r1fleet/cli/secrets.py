"""Where a secret's reference leads: an environment variable, a file or a prompt."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from r1fleet.errors import UsageError
from r1fleet.spec import Deployment


def api_key(name: str, deployment: Deployment) -> str:
    """Read the deployment's API key; empty when it has none."""
    reference = deployment.api_key
    if reference is None:
        return ""
    if reference.env:
        value = os.environ.get(reference.env, "")
        if not value:
            raise UsageError(
                f"{name}: api_key is read from ${reference.env}, which is not set", hint=f"export {reference.env}=..."
            )
        return value
    if reference.file:
        path = Path(reference.file).expanduser()
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{name}: api_key cannot be read from {path}: {error}") from error
    answer: str = typer.prompt(f"API key of {name}", hide_input=True, err=True)
    return answer
