"""How use cases reach hosts: the protocol; ``ssh`` and ``local`` implement it."""

from r1fleet.transport.protocol import Become, Blob, Call, Completed, Reply, Session, Transport

__all__ = ["Become", "Blob", "Call", "Completed", "Reply", "Session", "Transport"]
