"""What a module is given: its arguments and the few ways in which it may act on the host."""

from __future__ import annotations

import os
import pwd
import shlex
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Union

from r1fleet.agent import places, process
from r1fleet.agent.outcome import ModuleFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from r1fleet.agent.process import Done

__all__ = ["Context", "Line", "ModuleFailed"]


class Line:
    """What connects a context with the controller; this one leads nowhere."""

    def output(self, text: str) -> None:
        """Tell one line of progress."""

    def receive(self, sha256: str, path: str) -> None:
        """Ask for content and write it to ``path``."""
        raise ModuleFailed("the content %s is not at hand" % sha256)

    def send(self, chunk: bytes) -> None:
        """Send a piece of a file to the controller."""


class Context:
    """One run of one module."""

    def __init__(
        self,
        args: Dict[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        environment: Optional[Mapping[str, str]] = None,
        cache: Optional[Dict[str, Any]] = None,
        line: Optional[Line] = None,
    ) -> None:
        self.args = args
        self.check = check
        self.diff = diff
        self.environment: Dict[str, str] = dict(environment or {})
        self.cache: Dict[str, Any] = {} if cache is None else cache
        self.warnings: List[str] = []
        self._line = line or Line()
        self._scratches: List[str] = []

    @property
    def identity(self) -> str:
        """Name of the user that the module runs as; the number where it has no name."""
        try:
            return pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            return str(os.geteuid())

    def fail(self, msg: str, **more: Any) -> NoReturn:
        """End the module with a failure."""
        raise ModuleFailed(msg, **more)

    def warn(self, text: str) -> None:
        """Add a warning to the reply, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def progress(self, text: str) -> None:
        """Tell the controller what a long run is doing."""
        self._line.output(text)

    def run(
        self,
        command: Union[str, List[str]],
        *,
        shell: Union[bool, str] = False,
        stdin: Union[None, str, bytes] = None,
        cwd: Optional[str] = None,
        env: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
        locale: Optional[str] = None,
        umask: int = -1,
    ) -> Done:
        """Run a program and wait for its end.

        A string is split into words, or given to ``/bin/sh`` (or the shell named) with ``shell``. ``env`` adds to
        the environment, ``locale="C"`` fixes the language of messages. Nothing is raised for an exit status.
        """
        if shell:
            argv = [shell if isinstance(shell, str) else "/bin/sh", "-c", _one_line(command)]
        else:
            argv = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
        if not argv or not argv[0]:
            self.fail("no command given", rc=256)
        data = stdin.encode("utf-8", "surrogateescape") if isinstance(stdin, str) else stdin
        return process.run(argv, stdin=data, cwd=cwd, env=self._environment(env, locale), timeout=timeout, umask=umask)

    def which(self, name: str) -> Optional[str]:
        """Find a program on PATH or in the system's folders for administration tools."""
        return process.which(name, self._environment(None, None).get("PATH"))

    def need(self, name: str) -> str:
        """Find a program or fail as Ansible does."""
        found = self.which(name)
        if found is None:
            self.fail('Failed to find required executable "%s" in paths: %s' % (name, os.environ.get("PATH", "")))
        return found

    def blob(self, sha256: str, *, directory: Optional[str] = None) -> str:
        """Fetch content from the controller into a temporary file that is removed after the call.

        ``directory`` puts it there (beside its destination, so that large content is written once).
        """
        path = os.path.join(self.scratch(directory=directory), "blob")
        self._line.receive(sha256, path)
        return path

    def scratch(self, *, directory: Optional[str] = None) -> str:
        """Make a temporary folder that is removed after the call."""
        if directory is None:
            path = places.scratch()
        else:
            path = places.fresh_folder(directory, ".r1fleet-")
        self._scratches.append(path)
        return path

    def send(self, chunk: bytes) -> None:
        """Send a piece of a file to the controller (only the agent's own fetch does)."""
        self._line.send(chunk)

    def clean(self) -> None:
        """Remove what the call left behind in temporary folders."""
        while self._scratches:
            places.remove_tree(self._scratches.pop())

    def _environment(self, extra: Optional[Mapping[str, str]], locale: Optional[str]) -> Dict[str, str]:
        merged = dict(os.environ)
        if locale:
            merged.pop("LANGUAGE", None)
            merged.update({"LANG": locale, "LC_ALL": locale, "LC_MESSAGES": locale})
        merged.update(self.environment)
        merged.update(extra or {})
        return merged


def _one_line(command: Union[str, List[str]]) -> str:
    return command if isinstance(command, str) else " ".join(shlex.quote(str(word)) for word in command)
