"""A one-dimensional scale of the elements."""
