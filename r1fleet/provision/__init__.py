"""From bare hosts to hosts that can serve."""

from r1fleet.provision.provision import Provisioned, ProvisionOptions, own_modules, provision, wants
from r1fleet.weights.wanted import TINY, Wanted

__all__ = ["TINY", "ProvisionOptions", "Provisioned", "Wanted", "own_modules", "provision", "wants"]
