"""What hosts are: frozen values read from what they tell."""

from r1fleet.facts.cached import keep, recall
from r1fleet.facts.model import Accelerator, HostFacts, Interface, from_setup

__all__ = ["Accelerator", "HostFacts", "Interface", "from_setup", "keep", "recall"]
