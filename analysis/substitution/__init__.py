"""Divides clusters of elements into groups whose members may replace each other in a crystal."""
