"""Predictions for new crystals."""
