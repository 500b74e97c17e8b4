"""Trains the arrays of a grid; models with a record are not trained again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import counted
from orchestrator.nodes.place import here
from orchestrator.nodes.worker import Worker
from orchestrator.runs import layout, ownership
from orchestrator.runs.checkpoints import Checkpoints
from orchestrator.runs.records import FAILED, Records
from orchestrator.training.events import (
    ArrayLost,
    Began,
    Observer,
    Observers,
    Recorded,
    installed_observers,
)
from orchestrator.training.progress import Progress
from orchestrator.training.runners import EXPERIMENT, LOST_WORKERS, OutOfMemory, Runner
from orchestrator.training.study import Study, TrainingArray

OUT_OF_MEMORY = "stopped as a node ran out of memory; it begins again, alone"


def train(
    study: Study, records: Records, worker: Worker, observers: Sequence[Observer] | None = None
) -> bool:
    """Trains the models that have no record and records each; False if the user stopped it.

    Args:
        observers: of the training; None for progress on stderr, and those of installed packages.

    Raises:
        UsageError: a worker could not write or read a file; what is recorded stays.
    """
    keys = study.tasks.keys()
    recorded = records.recorded(keys)
    missing = [array for given in study.arrays if (array := _missing(given, recorded))]
    print(f"{counted(len(keys), 'model')}, {len(recorded)} recorded before", flush=True)
    run = records.folder.resolve().parent
    ownership.remove_notes(run, EXPERIMENT)  # left by a killed driver
    if missing:
        costs = {array.id: array.cost(study.data[array.data]) for array in missing}
        # Longest first: no worker starts a long array when the others are about to end.
        ordered = sorted(missing, key=lambda array: -costs[array.id])
        before = [records.read(key) for key in sorted(recorded)]
        default = [Progress(), *installed_observers(run)]
        watching = Observers(default if observers is None else observers)
        watching.see(Began(study, ordered, costs, before))
        del before  # not held while the others train: a row takes 11 KB
        try:
            _train(_runner(study, records, worker), ordered, records, watching)
        finally:
            watching.close()
    # The records decide, not Tune's status of its trials: it reports no error for trials that it
    # never started, or stopped in the middle.
    if records.recorded(keys) != keys:
        return False
    # Left by killed workers: snapshots of finished arrays, and incomplete records.
    Checkpoints(run / layout.CHECKPOINTS).forget_all()
    ownership.sweep(run)
    return True


def _runner(study: Study, records: Records, worker: Worker) -> Runner:
    if here().is_ray and study.together:
        from orchestrator.training.together import TrainRunner

        return TrainRunner(study, records, worker)
    if here().is_ray:
        from orchestrator.training.tuning import TuneRunner  # here: not all have Ray

        return TuneRunner(study, records, worker)
    from orchestrator.training.local import Processes

    return Processes(study, records, worker)


def _train(
    runner: Runner,
    ordered: Sequence[TrainingArray],
    records: Records,
    observers: Observers,
) -> None:
    """Runs the arrays; records those whose workers died too many times as failed.

    If a node runs out of memory, Ray kills more than the worker that used it. So the arrays in
    training then are tried again alone, after all others.
    """
    records.folder.mkdir(parents=True, exist_ok=True)
    killed: Counter[str] = Counter()
    while left := _unrecorded(ordered, records):
        chosen = [array for array in left if not killed[array.id]] or left[:1]
        try:
            ending = runner.run(chosen, observers)
        except OutOfMemory as error:
            running = error.running or [array.id for array in chosen]
            killed.update(running)
            for name in running:
                observers.see(ArrayLost(name, OUT_OF_MEMORY))
            lost = {name: str(error) for name in running if killed[name] > LOST_WORKERS}
            _record_lost(chosen, lost, records, observers)
            continue
        if ending.disk:
            raise UsageError(
                f"{ending.disk}; what is recorded stays: make room or mend it, and run the same"
                " command again"
            )
        _record_lost(chosen, ending.lost, records, observers)
        if _unrecorded(chosen, records):
            return  # the user stopped it


def _unrecorded(arrays: Sequence[TrainingArray], records: Records) -> list[TrainingArray]:
    """The arrays that have a model without a record."""
    recorded = records.recorded({key for array in arrays for key in array.keys.values()})
    return [array for array in arrays if not recorded.issuperset(array.keys.values())]


def _missing(array: TrainingArray, recorded: Collection[str]) -> TrainingArray | None:
    """The part of an array that has no record; the array itself if none of it has."""
    left = [label for label, key in array.keys.items() if key not in recorded]
    if len(left) == len(array.keys):
        return array
    return array.only(left) if left else None


def _record_lost(
    arrays: Sequence[TrainingArray],
    lost: Mapping[str, str],
    records: Records,
    observers: Observers,
) -> None:
    """Records the models of lost arrays as failed, each with the error of its array."""
    died = f"its worker died {LOST_WORKERS + 1} times, most likely of memory"
    for array in arrays:
        if array.id in lost:
            why = f"{died}: {' '.join(lost[array.id].split())}"[:4000]
            end = {"status": FAILED, "error": why}
            rows = [array.row(label) | end for label in array.keys]
            observers.see(Recorded([row for row in rows if records.write(row, {})]))
