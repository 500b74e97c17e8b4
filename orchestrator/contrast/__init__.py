"""Crystals and planar-averaged potentials in one space: encoders of both, trained by contrast."""
