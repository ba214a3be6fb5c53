"""What breaks launches, as one table of checks over what hosts have told: pure, nothing is contacted from here."""

from r1fleet.preflight.check import FEW, Answer, Check, Finding, Ground, Port, Reached, Verdict, Want, few
from r1fleet.preflight.judge import judge, worst
from r1fleet.preflight.table import TABLE

__all__ = [
    "FEW",
    "TABLE",
    "Answer",
    "Check",
    "Finding",
    "Ground",
    "Port",
    "Reached",
    "Verdict",
    "Want",
    "few",
    "judge",
    "worst",
]
