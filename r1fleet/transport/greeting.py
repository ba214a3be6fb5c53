"""The start of an agent as the controller sees it: noise, then a marker, then frames."""

from __future__ import annotations

import re
import shlex

from r1fleet.agent import stub

INTERPRETERS = (
    "python3",
    "/usr/bin/python3",
    "/usr/libexec/platform-python",
    *(f"python3.{minor}" for minor in range(14, 6, -1)),
    "/usr/local/bin/python3",
)
_NOISE_LIMIT = 1024 * 1024
_KEEP = 2048

# $1 is the nonce, $2 the stub, the rest are interpreters to try; the tried ones are shifted away, so that an
# interpreter that turns out to be too old can go on with those behind it.
_SEEK = (
    'n=$1; s=$2; shift 2; for p do shift; if command -v "$p" >/dev/null 2>&1; '
    f'then exec %s"$p" {shlex.join(stub.FLAGS)} -c "{stub.ENTRY}" "$s" "$n" "$@"; fi; done; echo; echo "$n none"'
)
_AS_ROOT = "sudo -n -H -u root -- "


def remote_command(nonce: str, interpreter: str | None = None, *, elevated: bool = False) -> str:
    """Return the line for a login shell (sh, bash, zsh, fish, csh): no quote inside quotes, no backslash.

    ``elevated`` starts as root by a sudo that must not ask: where it would, nothing starts.
    """
    candidates = (interpreter,) if interpreter else INTERPRETERS
    seek = _SEEK % (_AS_ROOT if elevated else "")
    return shlex.join(["exec", "/bin/sh", "-c", seek, "r1fleet", nonce, stub.TEXT, *candidates])


class Greeting:
    """Looks for the marker in what arrives; what stands before it is noise of the login shell."""

    def __init__(self, nonce: str) -> None:
        self._marker = re.compile(rb"(?:^|\n)" + nonce.encode() + rb" (ready|old|none)([^\n]*)\n")
        self._seen = b""
        self._head = b""
        self._total = 0
        self.outcome = ""
        self.detail = ""

    def feed(self, data: bytes) -> bytes | None:
        """Take what arrived; return what stands behind the marker once it is there."""
        self._total += len(data)
        self._head += data[: max(0, _KEEP - len(self._head))]
        self._seen += data
        match = self._marker.search(self._seen)
        if match is None:
            self._seen = self._seen[-256:]
            return None
        self.outcome = match.group(1).decode()
        self.detail = match.group(2).decode(errors="replace").strip()
        return self._seen[match.end() :]

    @property
    def ready(self) -> bool:
        """Tell whether an agent is there."""
        return self.outcome == "ready"

    @property
    def too_noisy(self) -> bool:
        """Tell whether no marker can be expected any more."""
        return not self.outcome and self._total > _NOISE_LIMIT

    @property
    def noise(self) -> str:
        """The first lines that came instead of the marker, fit for a message."""
        lines = [line.strip() for line in self._head.decode("utf-8", "replace").splitlines() if line.strip()]
        return " / ".join(line[:200] for line in lines[:3])
