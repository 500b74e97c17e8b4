"""Everything that is trained: crystals, graphs, networks and their training loops."""
