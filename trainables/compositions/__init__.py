"""Chemical formulas with a property, for models that use no structure."""
