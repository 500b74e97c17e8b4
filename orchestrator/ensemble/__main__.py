"""python -m orchestrator.ensemble"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["ensemble", *sys.argv[1:]]))
