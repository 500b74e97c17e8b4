"""Tensors of crystals in NumPy: harmonics, irreps, Voigt's notation, what symmetry allows."""
