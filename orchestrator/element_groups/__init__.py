"""Analyses the elements by a grid's models: consensus and substitution groups."""
