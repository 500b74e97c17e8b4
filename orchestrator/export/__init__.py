"""A run's models as a folder that predicts elsewhere."""
