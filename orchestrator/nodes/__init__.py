"""The Ray cluster: reached, looked at before any work, and given work."""
