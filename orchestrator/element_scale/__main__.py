"""python -m orchestrator.element_scale"""

import sys

from orchestrator import cli

if __name__ == "__main__":
    sys.exit(cli.main(["element_scale", *sys.argv[1:]]))
