"""Many models of one fold as one: weights that validation decides, and a calibrated spread."""
