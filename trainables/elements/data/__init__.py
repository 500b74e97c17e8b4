"""Data of the elements, shipped with the package."""
