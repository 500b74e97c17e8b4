"""python -m orchestrator.export"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["export", *sys.argv[1:]]))
