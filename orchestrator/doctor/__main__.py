"""python -m orchestrator.doctor"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["doctor", *sys.argv[1:]]))
