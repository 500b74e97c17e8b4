"""Is this machine, or this cluster, ready for a run? Says what is amiss and what mends it.

elemgrid doctor
elemgrid doctor --address auto --run /shared/runs/paper
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from orchestrator.doctor.cluster_file import look_at_file
from orchestrator.doctor.finding import Finding
from orchestrator.doctor.machine import look_at_machine
from orchestrator.doctor.nodes import look_at_nodes
from orchestrator.interface.job import OK, conduct
from orchestrator.interface.parser import Parser
from orchestrator.nodes import cluster

AMISS = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line a finding; 0 nothing is bad, 1 something is, 2 wrong usage."""
    return conduct(lambda: start(argv), stopped="nothing is changed")


def start(argv: Sequence[str] | None) -> int:
    """Looks at what is asked, and says what it found."""
    options = _parser().parse_args(argv)
    found = look(options.run, options.address, options.cluster)
    for finding in found:
        print(finding.line)
    bad = sum(finding.verdict == "bad" for finding in found)
    print("nothing is bad" if not bad else f"{bad} of {len(found)} to be mended")
    return AMISS if bad else OK


def _parser() -> Parser:
    parser = Parser(
        prog="python -m orchestrator.doctor",
        description="Looks at this machine, at cluster files and at the nodes of a cluster:"
        " software, disk, memory, GPUs, tokens, open doors, and whether all nodes reach the run's"
        " directory.",
        epilog="exit status: 0 nothing is bad, 1 something is, 2 wrong usage, or no cluster,"
        " 130 interrupted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--run",
        type=Path,
        default=Path("runs"),
        help="run directory of a planned job (default runs)",
    )
    parser.add_argument("--address", help="a Ray cluster, every node of which is checked")
    parser.add_argument(
        "--cluster",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="configuration files for `ray up`",
    )
    return parser


def look(run: Path, address: str | None, files: Sequence[Path]) -> list[Finding]:
    """All findings, the machine's first."""
    found = [*look_at_machine(run), *(finding for file in files for finding in look_at_file(file))]
    if address:
        with cluster.connected(address, cpus_per_worker=1):
            found += look_at_nodes(run)
    return found
