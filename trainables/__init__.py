"""Crystals, graphs, networks and their training loops; uses neither Ray nor the orchestrator."""
