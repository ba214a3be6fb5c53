"""Ansible's playbooks, as a strict subset."""
