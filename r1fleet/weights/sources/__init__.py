"""Where weights come from: hubs, mirrors, folders, caches, and big files dropped in by hand."""

from r1fleet.weights.sources.asking import MissingFiles, Pace
from r1fleet.weights.sources.fetch import Fetched, OnFile, Request, fetch
from r1fleet.weights.sources.listing import ListedFile, Listing, listing
from r1fleet.weights.sources.source import HUBS, Hub, Source, hub_cache, parse_source

__all__ = [
    "HUBS",
    "Fetched",
    "Hub",
    "ListedFile",
    "Listing",
    "MissingFiles",
    "OnFile",
    "Pace",
    "Request",
    "Source",
    "fetch",
    "hub_cache",
    "listing",
    "parse_source",
]
