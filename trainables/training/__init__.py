"""Trains stacked arrays of models, from recipe to outcome. No Ray, no pymatgen."""
