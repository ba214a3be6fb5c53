"""Ansible's playbooks, as a strict subset: read and check them, run them, list what they would do."""

from r1fleet.playbook.lint import Report, lint
from r1fleet.playbook.listing import list_hosts, list_tags, list_tasks
from r1fleet.playbook.loading import load_playbook
from r1fleet.playbook.model import Playbook
from r1fleet.playbook.options import Options
from r1fleet.playbook.reading import Search
from r1fleet.playbook.resolved import resolve
from r1fleet.playbook.run import exit_code, run

__all__ = [
    "Options",
    "Playbook",
    "Report",
    "Search",
    "exit_code",
    "lint",
    "list_hosts",
    "list_tags",
    "list_tasks",
    "load_playbook",
    "resolve",
    "run",
]
