"""Archives that GNU tar reads, plain or compressed."""

from __future__ import annotations

import fnmatch
import os
import re

from r1fleet.agent.context import Context
from r1fleet.agent.process import Done

_GZIP = b"\x1f\x8b"
_REFUSED = {
    "P": "absolute-names",
    "C": "directory",
    "h": "dereference",
}
"""Options that would let an archive write somewhere else than below ``dest``."""
_TAKES_VALUE = frozenset("bCfFgHIKLNTVX")
_DIFFERENCES = re.compile(
    r": (Mod time differs|Contents differ|Size differs|Symlink differs|File type differs|Not linked to .*"
    r"|Warning: Cannot (?:stat|open|readlink): .*|Invalid owner.*|Invalid group.*)$"
)
_NO_NAME = re.compile(r": : Warning: Cannot stat: No such file or directory$")


class TarArchive:
    """One archive and the place where its content belongs."""

    def __init__(self, ctx: Context, source: str, magic: bytes) -> None:
        # tar itself tells the other compressions; one kind has a name of its own, as with Ansible.
        self.handler, self._flags = ("TgzArchive", ["-z"]) if magic.startswith(_GZIP) else ("TarArchive", [])
        self._ctx = ctx
        self._source = source
        self._options = _checked(ctx)
        self._tar = ctx.need("tar")
        self._names: list[str] | None = None

    def names(self) -> list[str]:
        """List what would be unpacked, under the names that it gets, none absolute."""
        if self._names is None:
            done = self._run("--list", "--quoting-style=literal")
            if done.rc:
                text = "Failed to find handler for '{}': tar cannot list it: {}"
                self._ctx.fail(text.format(self._source, done.error.strip()))
            listed = [line[1:] if line.startswith("/") else line for line in done.text.splitlines()]
            excludes = self._ctx.args["exclude"]
            self._names = [name for name in listed if not _matches(name, excludes)]
        return self._names

    def differences(self) -> tuple[bool, str]:
        """Tell whether anything of it is missing or different on the host."""
        done = self._run("--diff")
        lines = (done.text + done.error).splitlines()
        return any(self._counts(line) for line in lines), ""

    def unpack(self) -> tuple[list[str], Done]:
        """Unpack; return the command and its end."""
        return self._command("--extract"), self._run("--extract")

    def _counts(self, line: str) -> bool:
        """Tell whether tar's line is about something that unpacking would mend, and no argument mends afterwards."""
        args = self._ctx.args
        if _NO_NAME.search(line):
            return False
        if os.geteuid() == 0 and not args["owner"] and line.endswith(": Uid differs"):
            return True
        if os.geteuid() == 0 and not args["group"] and line.endswith(": Gid differs"):
            return True
        if not args["mode"] and line.endswith(": Mode differs"):
            return True
        return bool(_DIFFERENCES.search(line))

    def _command(self, verb: str, *more: str) -> list[str]:
        args = self._ctx.args
        command = [self._tar, verb, *more, "-C", args["dest"], *self._flags]
        if self._options:
            command += ["--show-transformed-names", *self._options]
        if args["keep_newer"] and verb != "--list":
            command.append("--keep-newer-files")
        command += ["--exclude=" + pattern for pattern in args["exclude"]]
        return [*command, "-f", self._source, *args["include"]]

    def _run(self, verb: str, *more: str) -> Done:
        return self._ctx.run(self._command(verb, *more), cwd=self._ctx.args["dest"], locale="C.UTF-8")


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _checked(ctx: Context) -> list[str]:
    """Return ``extra_opts``, none of which leads out of ``dest``."""
    options: list[str] = ctx.args["extra_opts"]
    for option in options:
        found = refused(option)
        if found:
            ctx.fail("extra_opts: --{} would let the archive leave {}; take it out".format(found, ctx.args["dest"]))
    return options


def refused(option: str) -> str:
    """Return the name of the option in a word of tar's command line that leads elsewhere; empty for none."""
    if option.startswith("--"):
        name = option[2:].partition("=")[0]
        # tar takes any beginning of a name that is no beginning of another's.
        return next((full for full in _REFUSED.values() if len(name) > 2 and full.startswith(name)), "")
    if option.startswith("-"):
        for letter in option[1:]:
            if letter in _REFUSED:
                return _REFUSED[letter]
            if letter in _TAKES_VALUE:
                break
    return ""
