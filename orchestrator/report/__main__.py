"""python -m orchestrator.report"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["report", *sys.argv[1:]]))
