"""Ansible's YAML inventory: hosts, groups, variables, patterns."""

from r1fleet.inventory.model import Group, Host, Inventory

__all__ = ["Group", "Host", "Inventory"]
