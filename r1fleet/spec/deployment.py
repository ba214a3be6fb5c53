"""One deployment, as people write it in the inventory's variables."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Deployment(BaseModel):
    """One deployment; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
