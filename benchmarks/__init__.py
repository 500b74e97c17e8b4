"""Speed compared with other software: see README.md."""
