"""python -m orchestrator.dos"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["dos", *sys.argv[1:]]))
