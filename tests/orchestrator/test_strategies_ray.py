"""The main job as a search: stopped and continued, extended, and by another package's strategy."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.grid.cells import Space
from orchestrator.hybrid_grid.flags import parse
from orchestrator.interface.job import INTERRUPTED, OK, USAGE
from orchestrator.training import train
from orchestrator.training.events import Event, Recorded
from tests.orchestrator.small_data import ENERGY
from tests.orchestrator.small_grids import grid, rows, small_flags, times, write_matbench
from tests.packages_for_tests import install

pytestmark = pytest.mark.usefixtures("ray_cluster")


class Stop:
    """An observer that stops the job after its first record."""

    def __init__(self, run: Path) -> None:
        self.run = run

    def see(self, event: Event) -> None:
        if isinstance(event, Recorded):
            os.kill(os.getpid(), signal.SIGINT)

    def close(self) -> None:
        """Nothing is open."""


def search(run: Path, budget: int) -> list[str]:
    return [
        *("--preset", "demo", "--run", str(run), "--folds", "0", "--backbones", "cgcnn"),
        *("--epochs", "2", "--strategy", "random", "--budget", str(budget)),
        *("--dims", "4..8", "--lr", "1e-3..1e-2", "--mixing", "H"),
    ]


def trained(run: Path) -> dict[str, int]:
    return {name: time for name, time in times(run / "records").items() if name != ".lock"}


def test_a_random_search_goes_on_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as stopped:
        stopped.setattr(train, "installed_observers", lambda run: [Stop(run)])
        assert grid(*search(run, 4)).code == INTERRUPTED
    before = trained(run)
    assert 0 < len(before) // 2 < 4

    said = grid(*search(run, 4))
    assert said.code == OK and f"4 models, {len(before) // 2} recorded" in said.out
    assert trained(run).items() >= before.items(), "none is trained twice"
    space = Space(parse(search(run, 4)).config, {"ionic": ENERGY}, {})
    drawn = [(point["dim"], point["lr"]) for point in map(space.draw, range(4))]
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert list(zip(ledger["dim"], ledger["lr"], strict=True)) == drawn
    assert "Further axes" in (run / "report.html").read_text()

    assert "budget was 4, is 5" in grid(*search(run, 5)).error
    assert grid(*search(run, 5)).code == USAGE
    before = trained(run)
    said = grid(*search(run, 5), "--extend")
    assert said.code == OK and "5 models, 4 recorded before" in said.out
    assert trained(run).items() > before.items()


def test_a_strategy_of_another_package_sees_the_ledger_between_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halving = "tests.extensions.halving:Halving"
    install(tmp_path, "strangers", group="elemgrid.strategies", halving=halving)
    monkeypatch.syspath_prepend(tmp_path)
    data, run = write_matbench(tmp_path / "tiny.json.gz", rows(30)), tmp_path / "run"
    flags = [*small_flags(data, run)[:-2], "--backbones", "cgcnn", "--lr", "1e-4..1e-1"]
    said = grid(*flags, "--strategy", "halving", "--budget", "10")
    assert said.code == OK, said.err
    assert "10 models, 9 recorded before" in said.out
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert ledger["max_epochs"].tolist() == [1] * 9 + [3]
    first = ledger[ledger["max_epochs"] == 1]
    best, last = first.loc[first["val_mae"].idxmin()], ledger.iloc[-1]
    assert (best["lr"], best["mixing"]) == (last["lr"], last["mixing"])
