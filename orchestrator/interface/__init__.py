"""The command line: flags, one-line errors, Ctrl-C, and the HTML page of a report."""
