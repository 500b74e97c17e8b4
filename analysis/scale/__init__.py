"""A position for each element on one axis, from how often elements replace each other."""
