"""python -m orchestrator.substitutes"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["substitutes", *sys.argv[1:]]))
