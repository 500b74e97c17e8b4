"""The report of a run: one HTML page that needs no network.

python -m orchestrator.report runs/demo
"""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from string import Template

import pyarrow as pa
from plotly.offline import get_plotlyjs

from orchestrator import durable
from orchestrator.errors import UsageError
from orchestrator.finished_run import FILES, FinishedRun
from orchestrator.flags import Parser
from orchestrator.ledger import LedgerError
from orchestrator.report_sections import SECTIONS


def write_report(folder: Path) -> Path:
    """Writes `report.html` into a run directory and returns its path.

    Raises:
        UsageError: the folder is no finished run; the missing file is named.
    """
    run = FinishedRun(folder)
    for name in FILES:
        if not (folder / name).is_file():
            raise UsageError(
                f"{folder / name}: missing; {folder} is no finished run, let hybrid_grid end first"
            )
    try:
        if run.done.empty:
            raise UsageError(f"{folder}: no model is done; there is nothing to report")
        sections = [(title, body) for title, make in SECTIONS if (body := make(run))]
    except (json.JSONDecodeError, pa.ArrowInvalid) as error:
        reason = " ".join(str(error).split())[:160]
        raise UsageError(
            f"{folder}: a file is damaged ({reason}); run hybrid_grid again, it writes them anew"
        ) from None
    page = Template(resources.files("orchestrator").joinpath("report_page.html").read_text())
    names = ", ".join(run.manifest["datasets"])
    text = page.substitute(
        title=html.escape(f"Element embeddings on {names}"),
        subtitle=html.escape(
            f"{len(run.done)} models done of {run.manifest['models']},"
            f" recipe {run.manifest['config']['recipe']}; begun {_moment(run.manifest['created'])}"
        ),
        plotly=get_plotlyjs(),
        links="".join(f'<a href="#s{i}">{title}</a>' for i, (title, _) in enumerate(sections)),
        body="\n".join(
            f'<h2 id="s{i}">{title}</h2>\n{body}' for i, (title, body) in enumerate(sections)
        ),
    )
    path = folder / "report.html"
    durable.write_text(path, text)
    return path


def _moment(written: str) -> str:
    return datetime.fromisoformat(written).strftime("%Y-%m-%d %H:%M UTC")


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the report of a run; 0 done, 2 no such run."""
    parser = Parser(
        prog="python -m orchestrator.report", description="Writes a run's report.html again."
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of hybrid_grid")
    try:
        print(write_report(parser.parse_args(argv).run))
    except (UsageError, LedgerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
