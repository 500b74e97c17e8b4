"""python -m orchestrator.contrast"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["contrast", *sys.argv[1:]]))
