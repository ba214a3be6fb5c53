"""What people write about deployments, validated at the door and frozen."""

from r1fleet.spec.deployment import AUTO, Container, Deployment, Job, Prepare, SecretRef, Timeouts, Ways
from r1fleet.spec.read import SpecErrors, deployments, weights_dir_of
from r1fleet.spec.resolve import resolve

__all__ = [
    "AUTO",
    "Container",
    "Deployment",
    "Job",
    "Prepare",
    "SecretRef",
    "SpecErrors",
    "Timeouts",
    "Ways",
    "deployments",
    "resolve",
    "weights_dir_of",
]
