"""What we compare with: scripts that run in a peer's own environment, and what makes one."""
