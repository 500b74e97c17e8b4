"""The grid: its configuration, cells with their keys, and its data sets."""
