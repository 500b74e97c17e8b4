"""Compares element tables in a model that only uses compositions, to see whether they transfer."""
