"""python -m orchestrator.hybrid_grid"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["hybrid_grid", *sys.argv[1:]]))
