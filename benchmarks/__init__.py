"""How fast, and against what: see README.md."""
