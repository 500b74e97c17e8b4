"""The Ray cluster: connecting to it, checking it before any work, and running work on it."""
