"""python -m orchestrator.transfer"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["transfer", *sys.argv[1:]]))
