"""Fused CPU kernels of a training step: what they compute, and how they are built."""
