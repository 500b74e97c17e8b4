"""Our CGCNN beside the published code's, each with graphs of its own, from the same weights."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks.cgcnn import curves, published
from benchmarks.inputs import PUBLISHED, write_cif_folder
from benchmarks.published_graphs import write_published
from benchmarks.sides import our_side
from tests.benchmarks.data_for_tests import choice

DIM = 8


@pytest.fixture
def checkout() -> Path:
    named = os.environ.get("CGCNN_CHECKOUT")
    if not named:
        pytest.skip("set CGCNN_CHECKOUT to a checkout of the published CGCNN to compare")
    return Path(named)


def test_loss_curves_agree(checkout: Path, tmp_path: Path) -> None:
    crystals = choice(tmp_path)
    write_cif_folder(crystals, tmp_path)
    write_published(crystals, tmp_path / PUBLISHED)
    options = Namespace(fold=crystals.fold, seed=crystals.seed)
    ours = our_side(tmp_path, "cgcnn", DIM, ["H"], options)
    for folder, tolerance in ((tmp_path, 2e-3), (tmp_path / PUBLISHED, 1e-4)):
        found = curves(ours, published(checkout, folder, DIM, seed=0), tmp_path, epochs=3)
        assert found["train_loss"]["largest_relative_difference"] < tolerance
        assert found["train_loss"]["ours"][0] != found["train_loss"]["ours"][-1]
