"""What Vastai's own engines have in common: they serve what vamc has compiled, and take no key."""

from __future__ import annotations

from r1fleet.engines.interface import Preparation, RankRequest
from r1fleet.engines.openai import Server, refuse_accelerator, refuse_job, refuse_prepare
from r1fleet.engines.vamc import PREPARES, compilations, compiled_folder, refuse_uncompilable
from r1fleet.spec import Deployment
from r1fleet.topology.models import ModelShape


class Compiled(Server):
    """A server of a model that vamc compiles for Vastai's cards."""

    keyless = "takes none"

    def refuse(self, name: str, deployment: Deployment, shape: ModelShape | None) -> None:
        """Raise SpecError for what the engine cannot do, or vamc could not compile."""
        refuse_accelerator(name, self.name, deployment, "vastai")
        refuse_job(name, self.name, deployment)
        refuse_prepare(name, self.name, deployment, *PREPARES)
        refuse_uncompilable(name, deployment, shape)

    def reads(self, request: RankRequest) -> tuple[str, ...]:
        """Return the host's folders that the command reads: what vamc compiled."""
        return (compiled_folder(request),)

    def preparations(self, request: RankRequest) -> tuple[Preparation, ...]:
        """Return the steps of vamc: lay the vendor's files over the model, compile it."""
        return compilations(request)
