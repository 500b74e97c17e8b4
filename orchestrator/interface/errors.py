"""The error whose text is meant for the person at the command line."""


class UsageError(Exception):
    """Something the person can mend; ``str(error)`` is one line with the reason and the fix."""
