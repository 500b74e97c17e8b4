"""Chemical formulas with a property: what a model that knows no structure learns from."""
