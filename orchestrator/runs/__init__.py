"""The run directory: durable files, records and their ledger, and reading a finished run."""
