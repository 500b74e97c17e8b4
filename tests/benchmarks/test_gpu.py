"""The benchmark for graphics cards: its code runs on a CPU, and without a card it does nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, shards
from benchmarks.published_graphs import PADDING, neighbour_table
from tests.benchmarks.data_for_tests import choice
from trainables.testing.crystals import named_crystals
from trainables.testing.samples import graphs_of

ROOT = Path(__file__).resolve().parents[2]
SMALL = "--backbones cgcnn --dims 8 --mixing H L --folds 0 --epochs 2 --precision-epochs 2"
QUICK = "--block 1 --repeats 1 --processes 1 --parts bandwidth precision grid --device cpu"

WITHOUT = """
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("ray", "pymatgen", "monty"):
            raise ModuleNotFoundError(f"{name} is forbidden here", name=name)

sys.meta_path.insert(0, Absent())
for module in ("benchmarks.gpu", "benchmarks.ours"):
    importlib.import_module(module)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `benchmarks.shards` writes."""
    made = tmp_path_factory.mktemp("shards")
    shards.main([str(choice(tmp_path_factory.mktemp("data")).source), str(made)])
    return made


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")
def test_without_a_card_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = gpu.main(["--shards", str(tmp_path), "--results", str(tmp_path / "results")])
    assert status == gpu.NO_CARD
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_it_needs_neither_ray_nor_pymatgen() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_part_but_the_peer_runs_on_a_processor(folder: Path, tmp_path: Path) -> None:
    arguments = ["--shards", str(folder), "--results", str(tmp_path), *SMALL.split()]
    assert gpu.main([*arguments, *QUICK.split()]) == 0
    figures = json.loads((tmp_path / "gpu.json").read_text())["figures"]
    by_name = {figure["name"]: figure for figure in figures}
    assert by_name["cgcnn 8, array of 2, bandwidth"]["facts"]["bytes_per_epoch"] > 1e5
    assert 0 < by_name["cgcnn 8, array of 2, bandwidth"]["ours"]["median"] < 100
    assert by_name["cgcnn 8, 2 epochs, tf32"]["ratio"]["median"] == pytest.approx(1, abs=0.02)
    trained = by_name["cgcnn, 2 models start to finish"]["facts"]["arrays"]
    assert [array["epochs"] for array in trained] == [[2, 2]]
    assert by_name["grid of 2 models"]["bar"] is None  # the bar speaks of the paper's 280


def test_arrays_in_processes_of_their_own_give_the_same_models(folder: Path) -> None:
    options = gpu.parse(["--shards", str(folder), "--device", "cpu", *SMALL.split()])
    (spec,) = gpu.specs(["cgcnn"], [8], [0], ["H", "L"], options.recipes, seed=0)
    job = gpu.Job(spec, folder / "cgcnn", "cpu")
    _, (here,) = gpu.train_all([job], processes=1)
    _, (there,) = gpu.train_all([job], processes=2)
    assert here.val_mae == there.val_mae and here.test_mae == there.test_mae


def test_atoms_with_few_neighbours_are_padded() -> None:
    graphs = graphs_of([named_crystals()[name] for name in ("NaCl", "isolated")], "cgcnn")
    neighbours, distance = neighbour_table(graphs, 12)
    assert neighbours.shape == distance.shape == (9, 12)
    assert (distance[:8] < 8).all() and (neighbours[:8] < 8).all()
    assert distance[8].tolist() == [7.0] * 6 + [PADDING] * 6
    assert not neighbours[8].any()
