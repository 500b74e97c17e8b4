"""How a stacked array of models is trained, from recipe to outcome. No Ray, no pymatgen."""
