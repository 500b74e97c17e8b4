"""A trial without Tune around it: one bad model must not take its array with it."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import threading
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.exceptions import ObjectLostError, WorkerCrashedError

from orchestrator.grid.arrays import GridArray
from orchestrator.nodes import cluster
from orchestrator.nodes.ray_internals import show_work
from orchestrator.nodes.worker import Worker
from orchestrator.runs import checkpoints
from orchestrator.runs.records import Records
from orchestrator.training import together
from orchestrator.training.study import Study
from orchestrator.training.train import train
from orchestrator.training.tune_callbacks import NEEDED, NoteEndings
from orchestrator.training.tuning import ArrayTrial
from tests.orchestrator.small_data import grid_array
from trainables.kernels import library
from trainables.models.recipe import Recipe
from trainables.testing.samples import made_up_dataset
from trainables.training.fit import ArrayFit
from trainables.training.specification import ArraySpec, ModelSpec

RECIPE = Recipe(name="tuned", optimiser="adamw", lr=1e-3, epochs=2, batch_size=8)


def small_array(epochs: int) -> GridArray:
    """Two models."""
    recipe = dataclasses.replace(RECIPE, epochs=epochs)
    return grid_array(recipe=recipe)


def finished_rows(trial: ArrayTrial) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for _ in range(50):
        report = trial.step()
        rows.extend(report["finished"])
        if report["done"]:
            return rows
    raise AssertionError("the trial never ended")


def trial_of(array: GridArray, folder: Path) -> ArrayTrial:
    """A trial as Tune would set it up."""
    (folder / "records").mkdir(parents=True, exist_ok=True)  # as the driver does
    trial = ArrayTrial.__new__(ArrayTrial)
    trial.setup(
        {"array": array.id},
        arrays={array.id: array},
        datasets={("made-up", "cgcnn"): ray.put(made_up_dataset("cgcnn", 24))},
        records=Records(folder / "records"),
        device="cpu",
        threads=1,
        make_fit=ArrayFit,
    )
    return trial


@ray.remote
class Shown:
    """An actor that says how `ps` shows it."""

    def works_at(self, what: str) -> str:
        show_work(what)
        return psutil.Process().cmdline()[0]

    def is_free(self) -> str:
        return psutil.Process().cmdline()[0]


def test_a_worker_shows_what_it_works_at(ray_cluster: dict[str, Any]) -> None:
    worker = Shown.remote()
    assert ray.get(worker.works_at.remote("phonons/fold3")) == "ray::Shown.works_at phonons/fold3"
    assert ray.get(worker.works_at.remote("gaps/fold0")) == "ray::Shown.works_at gaps/fold0"
    assert ray.get(worker.is_free.remote()) == "ray::Shown.is_free"
    here = psutil.Process().cmdline()
    show_work("what no worker does")
    assert psutil.Process().cmdline() == here


def test_a_trial_says_which_array_it_trains(
    tmp_path: Path, ray_cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("orchestrator.training.tuning.show_work", shown.append)
    trial = trial_of(grid_array("H", fold=2, recipe=RECIPE), tmp_path)
    trial.step()
    assert shown == ["made-up/fold2/cgcnn/d4"]


def test_a_model_that_raises_fails_alone(tmp_path: Path, ray_cluster: dict[str, Any]) -> None:
    # No command line lets such a mixing through; here it is what makes building the model raise.
    array = grid_array("H nonsense L", recipe=RECIPE)
    rows = {row["mixing"]: row for row in finished_rows(trial_of(array, tmp_path))}
    assert {mixing: row["status"] for mixing, row in rows.items()} == {
        "H": "done",
        "nonsense": "failed",
        "L": "done",
    }
    assert "nonsense" in rows["nonsense"]["error"]
    records = Records(tmp_path / "records")
    assert records.recorded(array.keys.values()) == set(array.keys.values())
    for mixing, row in rows.items():
        recorded = records.read(array.keys[mixing])
        assert recorded.get("test_mae") == row.get("test_mae")
        assert ModelSpec.read(recorded["spec"]).mixing == mixing
        assert recorded["kernels"] == library.build() and recorded["threads"] == 1
        assert {"elemgrid", "torch", "ray"} <= json.loads(recorded["versions"]).keys()


@pytest.mark.parametrize(("errors", "status"), [(1, "done"), (2, "failed")])
def test_an_error_is_tried_once_more(
    tmp_path: Path,
    ray_cluster: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    errors: int,
    status: str,
) -> None:
    """Also for a model alone in its array; it starts again from its first epoch."""
    advance, begun = ArrayFit.advance, []

    def stumbling(self: ArrayFit) -> Any:
        begun.append(self.epoch)
        if begun.count(1) <= errors and self.epoch == 1:
            raise RuntimeError("stumbled")
        return advance(self)

    monkeypatch.setattr(ArrayFit, "advance", stumbling)
    (row,) = finished_rows(trial_of(small_array(epochs=3).only(["H"]), tmp_path))
    assert row["status"] == status
    assert begun == [0, 1, 0, 1, 2][: 5 if errors == 1 else 4]
    assert ("stumbled" in row["error"]) == (status == "failed")


def dies() -> None:
    """Behaves like a worker whose machine is lost."""
    os._exit(1)


def test_lost_data_are_no_fault_of_a_model(tmp_path: Path, ray_cluster: dict[str, Any]) -> None:
    """Tune begins the trial again, as where a worker is lost; nothing is recorded."""
    array = small_array(epochs=2)
    trial = trial_of(array, tmp_path)
    lost = ray.remote(num_cpus=0, max_retries=0)(dies).remote()
    trial._cluster._datasets = {("made-up", "cgcnn"): lost}
    with pytest.raises(WorkerCrashedError):
        for _ in range(3):
            trial.step()
    records = Records(tmp_path / "records")
    assert records.recorded(array.keys.values()) == set()
    assert {row["status"] for row in finished_rows(trial_of(array, tmp_path))} == {"done"}


def begun_again(mark: Path, spec: ArraySpec, data: Any, device: str) -> ArrayFit:
    """A training whose data are lost when it is begun for the first time."""
    if not mark.exists():
        mark.touch()
        raise ObjectLostError("ff" * 28, None, "")
    return ArrayFit(spec, data, device)


def test_tune_begins_a_trial_again_whose_data_were_lost(
    tmp_path: Path, ray_cluster: dict[str, Any]
) -> None:
    array, records = small_array(epochs=2), Records(tmp_path / "records")
    with cluster.connected(None, 1), redirect_stderr(io.StringIO()):
        study = Study(
            arrays=[array],
            data={("made-up", "cgcnn"): made_up_dataset("cgcnn", 24)},
            naming=GridArray,
            make_fit=partial(begun_again, tmp_path / "mark"),
        )
        assert train(study, records, Worker(cpus=1, gpus=0))
    assert (tmp_path / "mark").exists()
    assert {records.read(key)["status"] for key in array.keys.values()} == {"done"}


def test_a_node_without_the_run_directory_ends_the_trial(
    tmp_path: Path, ray_cluster: dict[str, Any]
) -> None:
    trial = trial_of(small_array(epochs=2), tmp_path)
    (tmp_path / "records").rmdir()
    report = trial.step()
    assert report["done"] and not report["finished"]
    assert report["disk"].startswith(f"{tmp_path / 'records'}: not on node ")
    assert "all nodes must share --run" in report["disk"]
    assert not (tmp_path / "records").exists()


def epochs_run(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Epochs that any training runs from now on."""
    run: list[int] = []
    advance = ArrayFit.advance

    def counted(self: ArrayFit) -> Any:
        run.append(self.epoch)
        return advance(self)

    monkeypatch.setattr(ArrayFit, "advance", counted)
    return run


@pytest.mark.parametrize("damage", [None, "cut", "flipped"])
def test_a_lost_worker_costs_what_came_after_its_last_checkpoint(
    tmp_path: Path,
    ray_cluster: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    damage: str | None,
) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 1e9)
    array = small_array(epochs=6)
    golden = {row["key"]: row for row in finished_rows(trial_of(array, tmp_path / "golden"))}
    folder = tmp_path / "run"
    lost = trial_of(array, folder)
    waiting = lost._trial._unrecorded(array)
    for _ in range(4):
        assert not lost._trial._epoch(waiting)
    (file,) = (folder / checkpoints.FOLDER).iterdir()
    content = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    run = epochs_run(monkeypatch)
    rows = {row["key"]: row for row in finished_rows(trial_of(array, folder))}
    assert run == ([4, 5] if damage is None else [0, 1, 2, 3, 4, 5])
    for key, row in rows.items():
        for name in ("train_mae", "val_mae", "test_mae", "best_epoch", "epochs"):
            assert row[name] == golden[key][name]
    assert not (folder / checkpoints.FOLDER).exists(), "what is over leaves nothing"


def test_a_stopped_trial_goes_on_where_it_was(
    tmp_path: Path, ray_cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune calls `cleanup` when it stops a trial, as after Ctrl-C."""
    array = small_array(epochs=6)
    golden = {row["key"]: row for row in finished_rows(trial_of(array, tmp_path / "golden"))}
    stopped = trial_of(array, tmp_path / "run")
    stopped._trial._waiting = stopped._trial._unrecorded(array)
    for _ in range(4):
        assert not stopped._trial._advance(stopped._trial._waiting)
    assert not (tmp_path / "run" / checkpoints.FOLDER).exists(), "none is due for a minute"
    stopped.cleanup()
    run = epochs_run(monkeypatch)
    rows = {row["key"]: row for row in finished_rows(trial_of(array, tmp_path / "run"))}
    assert run == [4, 5]
    for key, row in rows.items():
        for name in ("train_mae", "val_mae", "test_mae", "best_epoch", "epochs"):
            assert row[name] == golden[key][name]


def test_a_trial_that_lost_its_disk_is_not_saved(
    tmp_path: Path, ray_cluster: dict[str, Any]
) -> None:
    """Its models have left the array, and are not recorded."""
    trial = trial_of(small_array(epochs=1), tmp_path)
    trial._trial._waiting = trial._trial._unrecorded(trial._array)
    (tmp_path / "records").rmdir()
    (tmp_path / "records").touch()
    with pytest.raises(FileExistsError):
        trial._trial._advance(trial._trial._waiting)
    trial.cleanup()
    assert not (tmp_path / checkpoints.FOLDER).exists()


def test_who_trains_together_is_asked_for_one_snapshot(ray_cluster: dict[str, Any]) -> None:
    mailbox = together._Mailbox.options(num_cpus=0).remote()  # type: ignore[attr-defined]
    assert not ray.get(mailbox.put.remote("array", {}))
    saving = threading.Thread(target=together._save, args=[mailbox])
    saving.start()
    while not ray.get(mailbox.put.remote("array", {})):
        assert saving.is_alive(), "nobody was asked"
    ray.get(mailbox.note_saved.remote())
    saving.join(together.SAVING)
    assert not saving.is_alive() and not ray.get(mailbox.put.remote("array", {}))


def test_tune_keeps_nothing_of_a_report_but_what_it_needs(
    tmp_path: Path,
    ray_cluster: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It would hold each number ten times, and the rows of all models."""
    kept: list[tuple[set[str], set[str]]] = []

    def look(endings: NoteEndings, trials: list[Any], **info: Any) -> None:
        kept.extend((set(trial.last_result), set(trial.metric_analysis)) for trial in trials)

    monkeypatch.setattr(NoteEndings, "on_experiment_end", look)
    array = small_array(epochs=1)
    data = {array.data: made_up_dataset("cgcnn", 24)}
    study = Study(arrays=[array], data=data, naming=GridArray)
    with cluster.connected(None, 1), redirect_stderr(io.StringIO()):
        assert train(study, Records(tmp_path / "records"), Worker(cpus=1, gpus=0))
    assert kept == [(NEEDED | {"experiment_tag"}, {"done", "training_iteration"})]
    assert "Trial" not in capsys.readouterr().out, "Tune announces trials on the terminal"
