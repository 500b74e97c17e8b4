"""The parts of `element_scale`: flags, what it reads, what it mines, what it leaves."""
