"""The parts of `element_groups`."""
