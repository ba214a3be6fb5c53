"""What people write about deployments, validated at the door and frozen."""

from r1fleet.spec.deployment import Deployment

__all__ = ["Deployment"]
