"""What breaks launches, as one table of checks over what hosts have told: pure, nothing is contacted from here."""

from r1fleet.preflight.check import Answer, Check, Finding, Ground, Port, Reached, Verdict, Want
from r1fleet.preflight.judge import judge, worst
from r1fleet.preflight.table import TABLE

__all__ = [
    "TABLE",
    "Answer",
    "Check",
    "Finding",
    "Ground",
    "Port",
    "Reached",
    "Verdict",
    "Want",
    "judge",
    "worst",
]
