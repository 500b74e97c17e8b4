"""elemgrid from Python: a run's predictions, ledger and tables, and fits of one's own crystals.

>>> import elemgrid
>>> run = elemgrid.load_run("runs/mine")            # doctest: +SKIP
>>> run.predict(["new.cif"])                        # doctest: +SKIP
>>> elemgrid.fit(structures, gaps, run="runs/gap")  # doctest: +SKIP
>>> elemgrid.element_table("Mat2Vec-H-32").vector("Fe").shape
(32,)

The jobs of the command line are `python -m elemgrid JOB`, or `elemgrid JOB`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from elemgrid.own_packages import demand_own_packages

if TYPE_CHECKING:
    from analysis.element_table import ElementTable
    from analysis.shipped import element_table, element_tables
    from elemgrid.estimators import CrystalClassifier, CrystalRegressor
    from elemgrid.fitting import fit
    from elemgrid.run import Run, load_run
    from orchestrator.interface.errors import UsageError

# Name -> module; imported on first use, since torch and Ray take seconds.
_PLACES = {
    "CrystalClassifier": "elemgrid.estimators",
    "CrystalRegressor": "elemgrid.estimators",
    "ElementTable": "analysis.element_table",
    "Run": "elemgrid.run",
    "UsageError": "orchestrator.interface.errors",
    "element_table": "analysis.shipped",
    "element_tables": "analysis.shipped",
    "fit": "elemgrid.fitting",
    "load_run": "elemgrid.run",
}

__all__ = [
    "CrystalClassifier",
    "CrystalRegressor",
    "ElementTable",
    "Run",
    "UsageError",
    "element_table",
    "element_tables",
    "fit",
    "load_run",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'elemgrid' has no attribute {name!r}")
    demand_own_packages()
    found = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
