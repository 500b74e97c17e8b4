"""Does an element table transfer? Tables compared in a model that knows compositions alone."""
