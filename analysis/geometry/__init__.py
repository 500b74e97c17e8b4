"""What the element vectors of one trained model look like, as numbers."""
