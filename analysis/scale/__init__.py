"""Places the elements on one axis, by how often they replace each other."""
