"""Is this machine, or this cluster, ready for a run?"""
