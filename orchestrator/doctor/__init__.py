"""Checks whether this machine, or this cluster, is ready for a run."""
