"""All that is wrong with a playbook, collected and shown together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from r1fleet.errors import FleetError, PlaybookError, Where


class Problems:
    """Collects problems; raises them as one error."""

    def __init__(self) -> None:
        self._found: list[FleetError] = []
        self._seen: set[str] = set()

    def add(self, what: str, where: Where | None, *, hint: str | None = None) -> None:
        """Note a problem."""
        self.take(PlaybookError(what, where=where, hint=hint))

    def take(self, error: FleetError) -> None:
        """Note an error that something has raised."""
        if str(error) not in self._seen:
            self._seen.add(str(error))
            self._found.append(error)

    @property
    def found(self) -> tuple[FleetError, ...]:
        """Return what was noted, in order."""
        return tuple(self._found)

    @contextmanager
    def catch(self) -> Iterator[None]:
        """Note the FleetError that the body raises, and go on behind it."""
        try:
            yield
        except FleetError as error:
            self.take(error)

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_all(self) -> None:
        """Raise one PlaybookError with all problems, if there are any."""
        if not self._found:
            return
        if len(self._found) == 1:
            only = self._found[0]
            raise PlaybookError(only.what, where=only.where, hint=only.hint)
        lines = "\n".join(f"  {error}".replace("\n", "\n  ") for error in self._found)
        raise PlaybookError(f"{len(self._found)} problems, nothing was run:\n{lines}")
