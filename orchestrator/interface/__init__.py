"""What a person types and reads: flags, errors in one line, Ctrl-C, the page of a report."""
