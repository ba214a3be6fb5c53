"""``--step``: the user says of each task whether it is to be done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Question = Callable[[str], str]


class Stepping:
    """Asks before each task until the user wants to be asked no more; without a question every task is done."""

    def __init__(self, question: Question | None) -> None:
        self._question = question
        self._turn = asyncio.Lock()  # hosts that go their own way ask one after the other

    @property
    def asks(self) -> bool:
        """Whether the next task is asked about."""
        return self._question is not None

    async def agreed(self, title: str) -> bool:
        """Ask whether a task is to be done; anything but yes or continue means no, as with Ansible."""
        async with self._turn:
            if self._question is None:
                return True
            text = f"Perform task: {title} (N)o/(y)es/(c)ontinue: "
            answer = (await asyncio.to_thread(self._question, text)).strip().lower()
            if answer in {"c", "continue"}:
                self._question = None
            return answer in {"y", "yes", "c", "continue"}
