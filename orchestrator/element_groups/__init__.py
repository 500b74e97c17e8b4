"""What a grid's models say about the elements: consensus, substitution groups."""
