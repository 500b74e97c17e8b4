"""Checks whether this machine, or a cluster, is ready for a run; names problems and their fixes.

elemgrid doctor
elemgrid doctor --address auto --run /shared/runs/paper
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.doctor.cluster_file import look_at_file
from orchestrator.doctor.finding import Finding
from orchestrator.doctor.flags import DoctorOptions
from orchestrator.doctor.machine import look_at_machine
from orchestrator.doctor.nodes import look_at_nodes
from orchestrator.interface.job import OK
from orchestrator.nodes import cluster

AMISS = 1


def start(options: DoctorOptions) -> int:
    """Prints one line per finding; returns 0 if nothing is bad, else 1."""
    found = look(options.run, options.address, options.cluster)
    for finding in found:
        print(finding.line)
    bad = sum(finding.verdict == "bad" for finding in found)
    print("nothing is bad" if not bad else f"{bad} of {len(found)} to be mended")
    return AMISS if bad else OK


def look(run: Path, address: str | None, files: Sequence[Path]) -> list[Finding]:
    """Runs all checks, those of this machine first."""
    found = [*look_at_machine(run), *(finding for file in files for finding in look_at_file(file))]
    if address:
        with cluster.connected(address, cpus_per_worker=1):
            found += look_at_nodes(run)
    return found
