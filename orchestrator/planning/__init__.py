"""Plans what a grid costs: measured on a few steps, extrapolated to a machine or a cluster."""
