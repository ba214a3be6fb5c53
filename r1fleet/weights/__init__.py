"""Models, and other sealed sets of files, and how they reach every host."""

from r1fleet.weights.bring import Brought, bring
from r1fleet.weights.manifest import MANIFEST, Manifest, SealedFile, parse
from r1fleet.weights.models import Model, chosen, models_of, within
from r1fleet.weights.options import SyncOptions
from r1fleet.weights.plan import HostRow, ModelPlan, SyncPlan
from r1fleet.weights.shelf import Entry, Shelf, Verified
from r1fleet.weights.sync import HostOutcome, Synced, read_manifest, stream

__all__ = [
    "MANIFEST",
    "Brought",
    "Entry",
    "HostOutcome",
    "HostRow",
    "Manifest",
    "Model",
    "ModelPlan",
    "SealedFile",
    "Shelf",
    "SyncOptions",
    "SyncPlan",
    "Synced",
    "Verified",
    "bring",
    "chosen",
    "models_of",
    "parse",
    "read_manifest",
    "stream",
    "within",
]
