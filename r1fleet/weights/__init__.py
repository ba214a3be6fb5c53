"""Sealed sets of files and how they reach every host."""
