"""python -m orchestrator.predict"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["predict", *sys.argv[1:]]))
