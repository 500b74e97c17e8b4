"""A run directory, or a folder of `export`, from Python."""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import replace
from functools import lru_cache, partial
from importlib import import_module
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elemgrid.structures import sources_from
from orchestrator.interface.errors import UsageError
from orchestrator.predict import folder as exported
from orchestrator.runs import layout, sums
from orchestrator.runs.made_by import demand_grid, demand_there, job_of

if TYPE_CHECKING:
    import pandas as pd

    from analysis.element_table import ElementTable
    from orchestrator.predict.opening import AnyPredictor

KEPT = 4  # predictors in memory
# By job, what names the files of its runs.
OF_NETWORKS = {"contrast": "orchestrator.contrast.files", "dos": "orchestrator.dos.files"}


def load_run(folder: str | os.PathLike[str]) -> Run:
    """A run that `hybrid_grid`, `fit`, `contrast` or `dos` has finished, or a folder of `export`.

    Raises:
        UsageError: it is neither.

    >>> run = load_run("runs/ionic")
    >>> run
    Run('runs/ionic')
    """
    path = Path(folder)
    if not exported.is_exported(path):
        demand_there(path)
        if not (path / layout.MANIFEST).is_file():
            raise UsageError(f"{path}: neither a run nor a folder of export; check the path")
    return Run(path)


class Run:
    """What a run knows; everything is read, and verified by its digest, on first use.

    >>> run = load_run("runs/ionic")
    >>> sorted(run.tables)[:2]
    ['Mat2Vec-H-32', 'Mat2Vec-H-32-plain']
    >>> run.ledger[["backbone", "mixing", "status"]].drop_duplicates().to_dict("records")
    [{'backbone': 'cgcnn', 'mixing': 'H', 'status': 'done'}]
    """

    def __init__(self, folder: Path) -> None:
        self.name, self.folder = str(folder), folder.absolute()

    def __repr__(self) -> str:
        return f"Run({self.name!r})"

    def predict(
        self,
        structures: object,
        *,
        task: str | None = None,
        model: str = "ensemble",
        level: float = 0.95,
        members: bool = False,
        max_atoms: int | None = None,
        workers: int | None = 1,
        address: str | None = None,
    ) -> pd.DataFrame:
        """Predictions of new structures, a row for each in their order.

        Args:
            structures: a path of anything that `elemgrid predict` takes, or several paths; a
                pymatgen Structure or an ASE Atoms; several of them in a list or a pandas Series, or
                by name in a dict.
            task: data set of the run, if it has several.
            model: "ensemble", "best" for the configuration with the least validation error, or the
                key of a model in the ledger.
            level: probability that an interval holds the target.
            members: whether each model has a column, named by its key.
            max_atoms: of a structure; that of the run unless given.
            workers: processes; None for one a CPU if there are many structures.
            address: of a Ray cluster.

        Returns:
            id, prediction (in the unit of the target; of classes the probability of the second
            one), std, lower, upper (NaN for classes), outside (in what the crystal is unlike the
            training data), reason (why there is no prediction). Of tensors, instead of these
            numbers, the entries of the matrix by name (xx, c11, e14), spread and stable. Of slabs,
            by a run of `contrast`, work_function, regression, nearest and what belongs to them; of
            densities, by a run of `dos`, at_fermi, and density_E and deviation_E for each energy E.

        Raises:
            UsageError: the run has no such models, or there is no such file.
            TypeError: something is no structure.

        >>> from pymatgen.core import Lattice, Structure
        >>> salt = Structure.from_spacegroup(
        ...     "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
        >>> found = load_run("runs/ionic").predict([salt, salt.copy().apply_strain(0.02)])
        >>> list(found.columns)
        ['id', 'prediction', 'std', 'lower', 'upper', 'outside', 'reason']
        >>> bool((found["lower"] < found["prediction"]).all())
        True
        """
        import pandas as pd

        from orchestrator.predict.inputs import blocks_of
        from orchestrator.predict.job import rows_of, uncalibrated
        from orchestrator.predict.table import TEXTS
        from orchestrator.predict.work import in_order

        _demand(level, max_atoms, workers)
        sources = sources_from(structures)
        predictor = self.predictor(task, model)
        if max_atoms is not None:
            predictor = replace(predictor, max_atoms=max_atoms)
        if careful := uncalibrated(predictor, level):
            warnings.warn(careful, stacklevel=2)
        work = partial(rows_of, predictor, level=level, members=members)
        blocks = enumerate(blocks_of(sources))
        done = (table for _, table in in_order(work, blocks, workers, address))
        frames = [pd.DataFrame(table) for table in done] or [pd.DataFrame(work((0, [])))]
        frame = pd.concat(frames, ignore_index=True)
        numbers = frame.columns.difference(TEXTS)
        return frame.astype(dict.fromkeys(numbers, float))

    def predictor(self, task: str | None = None, model: str = "ensemble") -> AnyPredictor:
        """The models that predict, which stay in memory until the run changes.

        Raises:
            UsageError: the run has no such models.
        """
        return _predictor(self.folder, self._digest(), task, model)

    def _digest(self) -> str:
        """Of what the run's files are."""
        name = exported.PREDICTOR if exported.is_exported(self.folder) else sums.FILE
        try:
            return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
        except OSError:
            return ""  # then opening it says what is wrong, or nothing was ever written beside it

    @property
    def ledger(self) -> pd.DataFrame:
        """A row for each model: specification, status, errors, time, versions.

        Raises:
            UsageError: there is none, or it is damaged.
        """
        if (job := job_of(self.folder)) not in OF_NETWORKS:
            return self._finished().ledger
        from orchestrator.runs.finished_files import read_parquet

        return read_parquet(self.folder, import_module(OF_NETWORKS[job]).LEDGER, job)

    @property
    def distances(self) -> pd.DataFrame:
        """Of each pair of elements, the mean cosine distance and its spread over models."""
        return self._finished().distances

    @property
    def tables(self) -> dict[str, ElementTable]:
        """The element tables that the run's models were distilled to, by name.

        Raises:
            UsageError: one is damaged.
        """
        from orchestrator.data.element_tables import read_table

        self._finished()
        paths = sorted((self.folder / layout.TABLES).glob("*.csv"))
        ours = [path for path in paths if layout.TABLE.fullmatch(path.name)]
        return {path.stem: read_table(str(path), "tables") for path in ours}

    def _finished(self) -> Any:
        from orchestrator.runs.finished_run import FinishedRun

        if exported.is_exported(self.folder):
            raise UsageError(f"{self.folder}: is an exported folder, which only predicts")
        demand_grid(self.folder, "distances and tables are of hybrid_grid")
        finished = FinishedRun(self.folder)
        finished.demand_files()
        return finished


def _demand(level: object, max_atoms: object, workers: object) -> None:
    """Raises UsageError for what is no probability, or no number of something."""
    if not isinstance(level, float | int) or not 0 < level < 1:
        raise UsageError(f"level {level!r}: give a probability between 0 and 1, as 0.95")
    for name, number in (("max_atoms", max_atoms), ("workers", workers)):
        if number is not None and (not isinstance(number, Integral) or number < 1):
            raise UsageError(f"{name} {number!r}: give a whole number from 1 on")


@lru_cache(maxsize=KEPT)
def _predictor(folder: Path, digest: str, task: str | None, model: str) -> AnyPredictor:
    """The predictor of a run whose files have a digest."""
    from orchestrator.predict.opening import opened

    return opened(folder, task, model)
