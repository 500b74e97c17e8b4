"""The command line of `export`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.interface.job import STATUSES
from orchestrator.interface.parser import Parser
from orchestrator.predict.flags import add_choice

EPILOG = """\
examples:
  elemgrid export runs/hybrid_grid phonons-models
  elemgrid predict phonons-models new/*.cif

"""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The parsed command line."""

    run: Path
    folder: Path
    task: str | None
    model: str


def parse(argv: Sequence[str]) -> ExportOptions:
    """Parses a command line; raises UsageError in one line."""
    parser = Parser(
        prog="elemgrid export",
        description="Writes a run's models as a folder of safetensors and JSON, which predicts"
        " wherever elemgrid is installed. It has no names, structures or targets of the data behind"
        " it, but features that the models make of them.",
        epilog=EPILOG + STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of fit or hybrid_grid")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="new, or empty")
    add_choice(parser)
    return ExportOptions(**vars(parser.parse_args(argv)))
