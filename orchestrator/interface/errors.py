"""The error whose text is printed to the user at the command line."""


class UsageError(Exception):
    """An error that the user can fix; ``str(error)`` is one line with the reason and the remedy."""
