"""Backbones over quotient graphs; every parameter carries a leading axis of stacked models."""
