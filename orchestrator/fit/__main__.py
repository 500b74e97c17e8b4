"""python -m orchestrator.fit"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["fit", *sys.argv[1:]]))
