"""The ensemble of a grid: its folds' predictions, its files, and its part of the report."""
