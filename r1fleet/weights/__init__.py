"""Sealed sets of files and how they reach every host."""

from r1fleet.weights.manifest import MANIFEST, Manifest, SealedFile, parse
from r1fleet.weights.sync import HostOutcome, Synced, read_manifest, sync_directory

__all__ = ["MANIFEST", "HostOutcome", "Manifest", "SealedFile", "Synced", "parse", "read_manifest", "sync_directory"]
