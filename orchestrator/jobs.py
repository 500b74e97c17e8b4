"""The jobs: their names and summaries, and how a command line starts one.

`orchestrator/JOB/flags.py` parses the command line of a job and `orchestrator/JOB/job.py` runs it.
Torch and Ray take seconds to import, so the latter is imported only after the command line has been
accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from orchestrator.interface import interrupts
from orchestrator.interface.extras import ANALYSIS, RAY, Extra
from orchestrator.interface.job import conduct
from trainables.private_cache import keep_compiled_code_private

NOTHING_BEGAN = "nothing was to be written"  # of a job that only says what it would do


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of the command line.

    Attributes:
        name: of the command and of its package.
        summary: one line on what the job does.
        stopped: what happens to its work after an interrupt or a disk error.
        has_sections: whether `orchestrator/JOB/sections.py` adds to the report.
        needs: the extra of the package without which it does not work.
    """

    name: str
    summary: str
    stopped: str = "the same command begins again"
    has_sections: bool = False
    needs: Extra | None = None

    def main(self, argv: Sequence[str]) -> int:
        """Runs a command line; returns the exit status."""
        stopped = NOTHING_BEGAN if "--dry-run" in argv else self.stopped
        return conduct(lambda: self._start(argv), stopped=stopped)

    def _start(self, argv: Sequence[str]) -> int:
        package = f"orchestrator.{self.name}"
        with interrupts.at_once():  # an exception in an import would print a long traceback
            options = import_module(f"{package}.flags").parse(argv)
            if self.needs is not None:
                self.needs.demand(self.name)
            if (address := getattr(options, "address", None)) is not None:
                RAY.demand(f"--address {address}")
            keep_compiled_code_private()
            work = import_module(f"{package}.job")
        return int(work.start(options))


_GOES_ON = "the same command goes on where this ended"

# In the order of the report.
_JOBS = (
    Job(
        name="fit",
        summary="a good model of your own crystals within some minutes",
        stopped=_GOES_ON,
        has_sections=True,
    ),
    Job(
        name="hybrid_grid",
        summary="the main job: crystals to tables of the elements",
        stopped=_GOES_ON,
        has_sections=True,
    ),
    Job(
        name="ensemble",
        summary="the models of each fold combined, with uncertainties, as a leaderboard submission",
        has_sections=True,
    ),
    Job(
        name="predict",
        summary="new structures predicted by a run's models, with intervals",
        stopped=_GOES_ON,
    ),
    Job(name="export", summary="a run's models as a folder that predicts elsewhere"),
    Job(
        name="element_groups",
        summary="what a grid's models say about the elements: consensus, substitution groups",
        has_sections=True,
        needs=ANALYSIS,
    ),
    Job(name="substitutes", summary="which elements may replace an element"),
    Job(
        name="element_scale",
        summary="a one-dimensional scale of the elements",
        stopped="nothing is written, the same command begins again",
        has_sections=True,
        needs=ANALYSIS,
    ),
    Job(
        name="transfer",
        summary="does an element table transfer? CrabNet with each, on the official folds",
        stopped=_GOES_ON,
        has_sections=True,
    ),
    Job(
        name="dos",
        summary="densities of states, by an ensemble of equivariant networks",
        stopped=_GOES_ON,
        has_sections=True,
    ),
    Job(
        name="contrast",
        summary="crystals and their potentials in one space; work functions of new slabs",
        stopped=_GOES_ON,
        has_sections=True,
    ),
    Job(
        name="doctor",
        summary="is this machine, or this cluster, ready for a run?",
        stopped="nothing is changed",
        needs=RAY,
    ),
    Job(name="report", summary="write a run's report.html again"),
)

JOBS: Mapping[str, Job] = MappingProxyType({job.name: job for job in _JOBS})
