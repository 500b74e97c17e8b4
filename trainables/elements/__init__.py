"""What a model is told about a chemical element: the handcrafted descriptor."""
