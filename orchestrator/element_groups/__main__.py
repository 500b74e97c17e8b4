"""python -m orchestrator.element_groups"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["element_groups", *sys.argv[1:]]))
