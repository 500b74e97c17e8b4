"""Combines the models of a fold: weights from validation, and a calibrated spread."""
