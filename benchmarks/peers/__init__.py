"""The software compared with: scripts that run in a peer's own environment, and its setup."""
