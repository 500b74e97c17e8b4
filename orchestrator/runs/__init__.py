"""The run directory: how files are written, records and their ledger, what a finished run left."""
