"""Tables of element vectors against each other in a model that knows compositions alone."""
