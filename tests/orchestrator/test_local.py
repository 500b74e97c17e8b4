"""Training in processes of this machine: one that dies costs little, and a disk error ends all."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.grid.arrays import GridArray
from orchestrator.interface import interrupts
from orchestrator.nodes.worker import Worker
from orchestrator.runs import checkpoints
from orchestrator.runs.records import Records
from orchestrator.training.events import ArrayBegan, ArrayLost, Event, Observers, Recorded, Trained
from orchestrator.training.local import Processes
from orchestrator.training.runners import LOST_WORKERS, Ending
from orchestrator.training.study import Study
from tests.orchestrator.children import children
from tests.orchestrator.small_data import grid_array
from trainables.models.recipe import Recipe
from trainables.testing.samples import made_up_dataset
from trainables.training.fit import ArrayFit
from trainables.training.specification import ArraySpec

WORKER = Worker(cpus=1, gpus=0)


class Watching:
    """Keeps the events, and acts on some."""

    def __init__(self, act: Callable[[Event], None] = lambda event: None) -> None:
        self.seen: list[Event] = []
        self._act = act

    def see(self, event: Event) -> None:
        self.seen.append(event)
        self._act(event)

    def close(self) -> None:
        """Nothing is held."""

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]


def arrays(*folds: int, epochs: int) -> list[GridArray]:
    recipe = Recipe(name="tuned", optimiser="adamw", lr=1e-3, epochs=epochs, batch_size=8)
    return [grid_array("H L", fold=fold, recipe=recipe) for fold in folds]


def slowly(spec: ArraySpec, data: Any, device: str) -> ArrayFit:
    """A training that reports after each epoch, and saves its state."""
    import orchestrator.training.trials as trials

    trials.SECONDS_PER_REPORT, checkpoints.SECONDS_BETWEEN, checkpoints.SHARE = 1e-3, 0.0, 1e9
    return ArrayFit(spec, data, device)


def dies_on_fold_1(spec: ArraySpec, data: Any, device: str) -> ArrayFit:
    """As where an array takes more memory than there is."""
    if spec.fold == 1:
        psutil.Process().kill()
    return ArrayFit(spec, data, device)


def train(folder: Path, chosen: list[GridArray], watching: Watching, make_fit: Any) -> Ending:
    (folder / "records").mkdir(parents=True)
    study = Study(
        arrays=chosen,
        data={("made-up", "cgcnn"): made_up_dataset("cgcnn", 24)},
        naming=GridArray,
        make_fit=make_fit,
    )
    runner = Processes(study, Records(folder / "records"), WORKER)
    return runner.run(chosen, Observers([watching]))


def metrics(folder: Path, chosen: list[GridArray]) -> dict[str, Any]:
    read = Records(folder / "records").read
    names = ("status", "epochs", "best_epoch", "train_mae", "val_mae", "test_mae")
    return {
        key: {name: read(key)[name] for name in names}
        for array in chosen
        for key in array.keys.values()
    }


def test_arrays_are_trained_and_reported(tmp_path: Path) -> None:
    chosen, watching = arrays(0, 1, 2, epochs=2), Watching()
    assert train(tmp_path, chosen, watching, ArrayFit) == Ending({}, "")
    assert [event.array for event in watching.of(ArrayBegan)] == [array.id for array in chosen]
    rows = [row for event in watching.of(Recorded) for row in event.rows]
    assert {row["key"] for row in rows} == {key for one in chosen for key in one.keys.values()}
    assert {row["status"] for row in rows} == {"done"}
    assert [event.done for event in watching.of(Trained)].count(True) == 3
    assert not children()


def test_an_array_whose_process_is_killed_goes_on_from_its_snapshot(tmp_path: Path) -> None:
    chosen = arrays(0, epochs=30)
    golden = Watching()
    train(tmp_path / "golden", chosen, golden, slowly)
    killed: list[int] = []

    def kill(event: Event) -> None:
        if isinstance(event, Trained) and event.epoch >= 10 and not killed:
            (process,) = children()
            process.kill()
            killed.append(event.epoch)

    watching = Watching(kill)
    assert train(tmp_path / "run", chosen, watching, slowly) == Ending({}, "")
    assert [event.reason for event in watching.of(ArrayLost)] == [
        "its worker died; it begins again"
    ]
    lost = next(i for i, event in enumerate(watching.seen) if isinstance(event, ArrayLost))
    after = [event.epoch for event in watching.seen[lost:] if isinstance(event, Trained)]
    assert after[0] >= killed[0], "it began from its first epoch"
    assert metrics(tmp_path / "run", chosen) == metrics(tmp_path / "golden", chosen)


def steps_alone(spec: ArraySpec, data: Any, device: str) -> ArrayFit:
    """A training that reports after each epoch; no snapshot is due for a minute."""
    import orchestrator.training.trials as trials

    trials.SECONDS_PER_REPORT = 1e-3
    return ArrayFit(spec, data, device)


def test_an_interrupted_array_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "ONCE", 0.01)
    monkeypatch.setattr(interrupts._State, "came", False)
    chosen = arrays(0, epochs=30)
    train(tmp_path / "golden", chosen, Watching(), steps_alone)
    stopped: list[int] = []

    def stop(event: Event) -> None:
        if isinstance(event, Trained) and event.epoch >= 10 and not stopped:
            stopped.append(event.epoch)
            signal.raise_signal(signal.SIGINT)

    before = [(number, signal.getsignal(number)) for number in interrupts.SIGNALS]
    try:
        assert train(tmp_path / "run", chosen, Watching(stop), steps_alone) == Ending({}, "")
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    assert not children() and not list((tmp_path / "run" / "records").glob("*.json"))
    shutil.rmtree(tmp_path / "run" / "records")
    again = Watching()
    assert train(tmp_path / "run", chosen, again, steps_alone) == Ending({}, "")
    assert again.of(Trained)[0].epoch > stopped[0], "it began from its first epoch"
    assert metrics(tmp_path / "run", chosen) == metrics(tmp_path / "golden", chosen)


def test_an_array_that_always_kills_its_process_is_given_up(tmp_path: Path) -> None:
    chosen, watching = arrays(0, 1, 2, epochs=2), Watching()
    ending = train(tmp_path, chosen, watching, dies_on_fold_1)
    assert ending == Ending({chosen[1].id: "killed by SIGKILL"}, "")
    assert [event.array for event in watching.of(ArrayLost)] == [chosen[1].id] * LOST_WORKERS
    assert len(metrics(tmp_path, [chosen[0], chosen[2]])) == 4


def test_a_disk_that_fails_ends_all(tmp_path: Path) -> None:
    chosen = arrays(0, 1, 2, 3, epochs=2)
    records = tmp_path / "records"

    def remove(event: Event) -> None:
        if isinstance(event, ArrayBegan):
            shutil.rmtree(records, ignore_errors=True)

    ending = train(tmp_path, chosen, Watching(remove), partial(ArrayFit))
    assert ending.disk == f"{records}: not there any more" and not ending.lost
    assert not children()


@pytest.mark.parametrize(("visible", "given"), [(None, "012"), ("4,5,6", "456")])
def test_each_process_has_the_gpu_of_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, given: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    study = Study(arrays=[], data={}, naming=GridArray)
    for gpus, of in ((1.0, [0, 1, 2]), (0.4, [0, 0, 1, 1]), (2.0, [0, 2])):
        made = Processes(study, Records(tmp_path), Worker(cpus=1, gpus=gpus))
        for number, place in enumerate(of):
            assert made._variables(number)["CUDA_VISIBLE_DEVICES"] == given[place]
