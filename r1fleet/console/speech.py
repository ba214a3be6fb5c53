"""A model's answer as it comes: its words on one stream, what it thinks before them on another."""

from __future__ import annotations

from typing import TextIO

from r1fleet.console.text import clean, write
from r1fleet.events import Event, Said
from r1fleet.status import Answer

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class Speech:
    """An observer of ``Said``: the answer goes to ``out``, thoughts and figures go to ``err``."""

    def __init__(self, out: TextIO, err: TextIO, *, colour: bool) -> None:
        self._out = out
        self._err = err
        self._dim, self._plain = (_DIM, _PLAIN) if colour else ("", "")
        self._thinks = False
        self._open = False

    def __call__(self, event: Event) -> None:
        """Show a piece."""
        if not isinstance(event, Said):
            return
        if event.thought and not self._thinks:
            write(self._err, f"{self._dim}thinking: ")
        elif self._thinks and not event.thought:
            self._end_thought()
        self._thinks = event.thought
        if not event.thought:
            self._open = True
        stream = self._err if event.thought else self._out
        write(stream, clean(event.text))
        stream.flush()

    def end(self, answer: Answer | None = None) -> None:
        """End the answer's last line; tell what it took, and where its limit cut it off."""
        if self._thinks:
            self._end_thought()
        if self._open:
            write(self._out, "\n")
            self._out.flush()
        self._thinks = self._open = False
        if answer is not None:
            write(self._err, f"{self._dim}({figures(answer)}){self._plain}\n")
            self._err.flush()

    def _end_thought(self) -> None:
        write(self._err, f"{self._plain}\n\n")
        self._err.flush()


def figures(answer: Answer) -> str:
    """Spell who answered, where, how fast, and whether it was cut off."""
    parts = [f"{clean(answer.model)} at {answer.url}", f"{answer.seconds:.1f} s"]
    if answer.tokens:
        parts.append(f"{answer.tokens} tokens")
    since_first = answer.seconds - answer.first
    if answer.tokens and answer.tokens > 1 and since_first > 0.05:
        parts.append(f"first after {answer.first:.1f} s, then {(answer.tokens - 1) / since_first:.0f} a second")
    if answer.finish == "length":
        parts.append("cut off at the length limit (--max-tokens)")
    return ", ".join(parts)
