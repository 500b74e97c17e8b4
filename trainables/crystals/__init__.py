"""Crystals as input: sources, parsing, checks, quarantine and the registry of tasks."""
