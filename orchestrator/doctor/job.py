"""Is this machine, or this cluster, ready for a run? Says what is amiss and what mends it.

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
    """Prints a line a finding; 0 nothing is bad, 1 something is."""
    found = look(options.run, options.address, options.cluster)
    for finding in found:
        print(finding.line)
    bad = sum(finding.verdict == "bad" for finding in found)
    print("nothing is bad" if not bad else f"{bad} of {len(found)} to be mended")
    return AMISS if bad else OK


def look(run: Path, address: str | None, files: Sequence[Path]) -> list[Finding]:
    """All findings, the machine's first."""
    found = [*look_at_machine(run), *(finding for file in files for finding in look_at_file(file))]
    if address:
        with cluster.connected(address, cpus_per_worker=1):
            found += look_at_nodes(run)
    return found
