"""Run by the oracle's Python: answer, as JSON, what its address filters make of each value and question."""

import importlib
import json
import sys
from typing import Any


def main() -> None:
    """Read rows of filter, value and further arguments; write what each gives, or None and true where it fails."""
    package = "ansible_collections.ansible.utils.plugins.filter"
    answers = []
    for name, *args in json.load(sys.stdin):
        found = importlib.import_module(f"{package}.{name}").FilterModule().filters()[name]
        answers.append(_answer(found, args))
    json.dump(answers, sys.stdout)


def _answer(function: Any, args: list[Any]) -> list[Any]:
    try:
        return [function(None, *args), False]
    except Exception:  # whatever it is, the filter failed
        return [None, True]


main()
