"""What a grid will cost: measured on a few steps, worked out for a machine or a cluster."""
