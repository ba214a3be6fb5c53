"""What the name of an image means on this host now."""

from __future__ import annotations

from r1fleet.agent import process
from r1fleet.agent.context import ModuleFailed

_SHOWN = "{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}"


def digest_of(name: str) -> tuple[str, str]:
    """Return the registry's digest, or the image's id where it came from none; else why it is not known."""
    try:
        done = process.run(["docker", "image", "inspect", "--format", _SHOWN, "--", name], timeout=30)
    except ModuleFailed as failure:
        return "", failure.msg
    if done.rc:
        absent = "no such image" in done.error.lower()
        return "", "the image %s is not there" % name if absent else done.error.strip()[:400]
    return done.text.strip().rpartition("sha256:")[2], ""
