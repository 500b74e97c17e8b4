"""Opens what predicts: a run, by the job that made it, or an exported folder."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, cast

from analysis.ensemble.spread import Spread
from orchestrator.interface.errors import UsageError
from orchestrator.predict import folder
from orchestrator.predict.table import Tabular
from orchestrator.runs import layout
from orchestrator.runs.made_by import demand_there, job_of
from orchestrator.runs.run_directory import DEFAULT_JOB
from trainables.crystals.crystal import Entry

# By the job in the manifest, the module whose `predictor_of(run, task, model)` opens its runs.
# Imported when there is such a run: an exported folder needs less.
MODULES = MappingProxyType({DEFAULT_JOB: "from_run", "contrast": "slab_run", "dos": "curve_run"})


class AnyPredictor(Protocol):
    """What a run's models say of new structures; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def max_atoms(self) -> int:
        """Of a structure."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what determines the predictions."""

    @property
    def spreads(self) -> list[Spread]:
        """By which intervals are made; none where there are none."""

    def described(self) -> list[str]:
        """Lines on what predicts."""

    def predict(self, entries: Sequence[Entry], level: float) -> Tabular:
        """Predictions for raw structures, in their order; a bad one affects only itself.

        Args:
            level: probability that an interval holds the target.
        """


def opened(models: Path, task: str | None, model: str) -> AnyPredictor:
    """The predictor of a run, or of an exported folder.

    Args:
        task, model: what is chosen of a run; see `from_run.predictor_of`.

    Raises:
        UsageError: it is neither, or of a job whose models predict nothing of a structure.
    """
    demand_there(models)
    if folder.is_exported(models):
        if task is not None or model != "ensemble":
            raise UsageError(f"{models}: --task and --model were chosen when it was exported")
        return folder.load(models)
    if not (models / layout.MANIFEST).is_file():
        raise UsageError(
            f"{models}: neither a run of fit, {_listed()}, nor a folder of export; check the path"
        )
    if (models / layout.FIT_PROGRESS).is_file() and not (models / layout.FIT).is_file():
        raise UsageError(f"{models}: its fit has not ended; the same elemgrid fit command goes on")
    job = job_of(models)
    if job not in MODULES:
        raise UsageError(f"{models}: a run of {job}; runs that predict are of fit, {_listed()}")
    module = import_module(f"orchestrator.predict.{MODULES[job]}")
    return cast(AnyPredictor, module.predictor_of(models, task, model))


def _listed() -> str:
    *most, last = MODULES
    return f"{', '.join(most)} or {last}"
