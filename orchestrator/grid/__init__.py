"""The grid: axes, cells and their keys, what is asked and on which data."""
