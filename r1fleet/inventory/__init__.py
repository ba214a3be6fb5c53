"""Ansible's YAML inventory: hosts, groups, variables, patterns."""

from r1fleet.inventory.model import Group, Host, Inventory, magic
from r1fleet.inventory.reader import load
from r1fleet.inventory.variables import beside

__all__ = ["Group", "Host", "Inventory", "beside", "load", "magic"]
