"""`elemgrid JOB` and `python -m elemgrid JOB`."""

from __future__ import annotations

import sys

from elemgrid.own_packages import demand_own_packages

USAGE = 2  # the exit status of what the user can mend


def main() -> int:
    """Runs the job that the command line names; returns its exit status."""
    try:
        demand_own_packages()
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    from orchestrator import cli  # only now, when it is known to be ours

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
