"""What runs where, read from the hosts."""

from r1fleet.status.ask import Answer, AskOptions, Conversation, ask, conversation
from r1fleet.status.contact import Access, Contact, root_on
from r1fleet.status.logs import LogOptions, logs
from r1fleet.status.report import StatusOptions, status, watch
from r1fleet.status.rows import DeploymentRow, GangRow, HostRow, RankRow, StatusReport

__all__ = [
    "Access",
    "Answer",
    "AskOptions",
    "Contact",
    "Conversation",
    "DeploymentRow",
    "GangRow",
    "HostRow",
    "LogOptions",
    "RankRow",
    "StatusOptions",
    "StatusReport",
    "ask",
    "conversation",
    "logs",
    "root_on",
    "status",
    "watch",
]
