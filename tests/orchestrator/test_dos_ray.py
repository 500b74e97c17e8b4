"""The job `dos` on Ray Train: any number of workers, one that is killed, a run that goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from safetensors.numpy import load_file

from orchestrator import cli
from orchestrator.dos.entries import SCHEMA, DensityArray, arrays_of
from orchestrator.dos.flags import parse
from orchestrator.dos.inputs import open_curves, read_densities
from orchestrator.dos.job import fit_ensemble
from orchestrator.dos.results import folds_of
from orchestrator.nodes.worker import Worker
from orchestrator.runs import checkpoints
from orchestrator.runs.records import Records
from orchestrator.training.events import ArrayLost, Event, Trained
from orchestrator.training.study import Fit, Study
from orchestrator.training.train import train
from tests.orchestrator.small_densities import write_densities
from trainables.models.gathering import Group

COMMON = ("--points", "60", "--width", "8", "--folds", "0", "--members", "4", "--float64")


@pytest.fixture(autouse=True)
def intervals_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undoes what `saving` changes in this process."""
    for name in ("SECONDS_BETWEEN", "SHARE"):
        monkeypatch.setattr(checkpoints, name, getattr(checkpoints, name))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_densities(tmp_path_factory.mktemp("dos") / "salts.parquet")


def dos(data: Path, run: Path, *flags: str) -> int:
    return cli.main(["dos", "--data", str(data), "--run", str(run), *COMMON, *flags])


def weights(run: Path) -> dict[str, dict[str, np.ndarray]]:
    """By key of the model."""
    return {path.stem: load_file(path) for path in sorted((run / "records").glob("*.safetensors"))}


@pytest.fixture(scope="module")
def alone(ray_cluster: object, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one worker, of three epochs."""
    run = tmp_path_factory.mktemp("alone") / "run"
    assert dos(data, run, "--epochs", "3") == 0
    return run


def test_two_workers_take_the_steps_of_one(alone: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "two"
    assert dos(data, run, "--epochs", "3", "--workers", "2") == 0
    one, two = weights(alone), weights(run)
    assert one.keys() == two.keys() and len(one) == 4
    for key, arrays in one.items():
        for name, values in arrays.items():
            np.testing.assert_allclose(two[key][name], values, rtol=1e-6, atol=1e-6, err_msg=name)


def test_what_it_leaves(alone: Path) -> None:
    facts = json.loads((alone / "dos.json").read_text())
    (fold,) = facts["folds"]
    assert {"mse", "mean_spectrum_mse", "trees_mse", "mad_mae", "wasserstein"} <= fold.keys()
    assert 0 < fold["mse"] < 1
    # all salts are there twice, with the same curve
    assert fold["seen"] == fold["tested"] and fold["mse_seen"] == pytest.approx(fold["mse"])
    assert fold["mse_unseen"] is None and fold["lookup_mse"] == pytest.approx(0)
    assert facts["differences"] == []  # one fold has no interval
    assert not (alone / ".train").exists() and not (alone / "checkpoints").exists()
    page = (alone / "report.html").read_text()
    assert "Curves at quantiles of the error" in page and "By element" in page


def test_a_fold_that_lost_a_member_says_so(alone: Path, data: Path) -> None:
    options = parse(["--data", str(data), *COMMON, "--epochs", "3"])
    given = read_densities(options, open_curves(options))
    ledger = pd.read_parquet(alone / "dos_ledger.parquet").iloc[1:]
    (fold,) = folds_of(ledger, Records(alone / "records", SCHEMA), given.densities)
    assert fold.facts()["members"] == 3
    assert json.loads((alone / "dos.json").read_text())["folds"][0]["members"] == 4


def test_the_same_command_trains_nothing_again(
    alone: Path, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (alone / "records").iterdir()}
    assert dos(data, alone, "--epochs", "3") == 0
    assert {path: path.stat().st_mtime_ns for path in (alone / "records").iterdir()} == before
    assert "4 models, 4 recorded before" in capfd.readouterr().out


def saving(spec: Any, densities: Any, device: str, **group: Any) -> Fit:
    """Starts a training that is saved after each epoch, in whichever process this is."""
    checkpoints.SECONDS_BETWEEN, checkpoints.SHARE = 0.0, 1e9
    return fit_ensemble(spec, densities, device, **group)


def listening() -> list[str]:
    """The addresses at which this process waits for connections."""
    found = psutil.Process().net_connections("inet")
    return [one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN]


class Mortal:
    """Makes trainings as `saving`; the worker of rank 1 is killed once, after two epochs.

    Before, each worker writes where it listens.
    """

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __call__(self, spec: Any, densities: Any, device: str, group: Group) -> Fit:
        fit = saving(spec, densities, device, group=group)
        advance = fit.advance

        def until_killed() -> Any:
            if fit.epoch == 1:
                self.mark.with_name(f"listens-{group.rank}").write_text(" ".join(listening()))
            if group.rank == 1 and fit.epoch == 2 and not self.mark.exists():
                self.mark.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            return advance()

        fit.advance = until_killed  # type: ignore[method-assign]
        return fit


class Seen:
    """An observer that keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass


class Slow:
    """Makes trainings as `saving` whose epochs take a step each."""

    def __call__(self, spec: Any, densities: Any, device: str, group: Group) -> Fit:
        fit = saving(spec, densities, device, group=group)
        advance = fit.advance

        def slowly() -> Any:
            time.sleep(3.1)  # longer than a step: the first report has one epoch
            return advance()

        fit.advance = slowly  # type: ignore[method-assign]
        return fit


class Stops(Seen):
    """As Ctrl-C when the first epochs are through."""

    def see(self, event: Event) -> None:
        super().see(event)
        if isinstance(event, Trained) and not event.done:
            raise KeyboardInterrupt


def study_of(data: Path, make_fit: Any, together: int) -> Study:
    """The ensemble of fold 1, five epochs in single precision."""
    options = parse(["--data", str(data), *COMMON[:-1], "--folds", "1", "--epochs", "5"])
    given = read_densities(options, open_curves(options))
    arrays = arrays_of(options, "salts", given.densities)
    return Study(
        arrays=arrays,
        data={"salts": given.densities},
        naming=DensityArray,
        make_fit=make_fit,
        together=together,
    )


def trained(study: Study, run: Path, *observers: Any) -> dict[str, dict[str, np.ndarray]]:
    """The weights of a study that is trained in a run directory."""
    run.mkdir(exist_ok=True)
    records = Records(run / "records", SCHEMA)
    assert train(study, records, Worker(cpus=1, gpus=0), observers)
    return weights(run)


def same(one: dict[str, dict[str, np.ndarray]], other: dict[str, dict[str, np.ndarray]]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(values, other[key][name])
        for key, arrays in one.items()
        for name, values in arrays.items()
    )


@pytest.fixture(scope="module")
def undisturbed(
    ray_cluster: object, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, np.ndarray]]:
    """The weights of the study, trained by two workers."""
    return trained(study_of(data, saving, 2), tmp_path_factory.mktemp("undisturbed"), Seen())


def test_two_workers_that_are_stopped_go_on_to_the_bit(
    undisturbed: dict[str, dict[str, np.ndarray]], data: Path, tmp_path: Path
) -> None:
    study, seen = study_of(data, Slow(), 2), Stops()
    (array,) = study.arrays
    records = Records(tmp_path / "records", SCHEMA)
    assert not train(study, records, Worker(cpus=1, gpus=0), [seen])
    begun = [event.epoch for event in seen.events if isinstance(event, Trained)]
    assert begun and max(begun) < 5 and not weights(tmp_path)
    assert checkpoints.Checkpoints(tmp_path / "checkpoints").read(array.id) is not None
    assert same(trained(study_of(data, saving, 2), tmp_path), undisturbed)


def test_a_killed_worker_is_replaced_and_nothing_differs(
    undisturbed: dict[str, dict[str, np.ndarray]], data: Path, tmp_path: Path
) -> None:
    mark, seen = tmp_path / "killed", Seen()
    disturbed = trained(study_of(data, Mortal(mark), 2), tmp_path / "disturbed", seen)
    assert mark.exists()
    where = [(tmp_path / f"listens-{rank}").read_text().split() for rank in range(2)]
    # one port of gloo, and one of Ray's, which is on all interfaces as the tests' cluster is
    assert [sorted(one) for one in where] == [["127.0.0.1", "::"]] * 2
    assert [event for event in seen.events if isinstance(event, ArrayLost)]
    assert same(undisturbed, disturbed)


def test_an_interrupted_run_goes_on_to_the_bit(
    ray_cluster: object, data: Path, tmp_path: Path
) -> None:
    """The snapshot of a process without Ray, which ends after two epochs, is gone on from.

    Its weights are changed by hand, so that a training from the start would differ.
    """
    study = study_of(data, saving, 1)
    (array,) = study.arrays
    run = tmp_path / "interrupted"
    (run / "records").mkdir(parents=True)
    fit = saving(array.spec, study.data["salts"], "cpu")
    for _ in range(2):
        list(fit.advance())
    with torch.no_grad():
        for parameter in fit.training.model.parameters():
            parameter.mul_(1.01)
    checkpoints.Checkpoints(run / "checkpoints").write(array.id, fit.save())
    events = Seen()
    found = trained(study, run, events)
    assert max(event.epoch for event in events.events if isinstance(event, Trained)) == 5
    while not fit.finished:
        outcomes = list(fit.advance())
    undisturbed = {
        outcome.history.member.key: {
            name: values for name, values in outcome.arrays.items() if name.startswith("weights/")
        }
        for outcome in outcomes
    }
    assert undisturbed.keys() == found.keys()
    for key, arrays in undisturbed.items():
        for name, values in arrays.items():
            np.testing.assert_array_equal(found[key][name], values, err_msg=name)
