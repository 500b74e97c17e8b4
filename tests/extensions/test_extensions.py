"""What a reader adds in one file goes through the whole job; no file of the product knows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.orchestrator.small_grids import rows, small_flags, write_matbench
from tests.packages_for_tests import install

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.ray
def test_a_backbone_of_another_package_goes_to_the_tables(tmp_path: Path) -> None:
    install(tmp_path, "strangers-networks", cgconv="tests.extensions.cgconv:SPEC")
    data, run = write_matbench(tmp_path / "tiny.json.gz", rows(30)), tmp_path / "run"
    said = subprocess.run(
        [
            *(sys.executable, "-m", "orchestrator.hybrid_grid", *small_flags(data, run)),
            *("--backbones", "cgconv", "megnet"),
        ],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert said.returncode == 0, said.stderr
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert sorted(ledger["backbone"]) == ["cgconv", "cgconv", "megnet", "megnet"]
    assert (ledger["status"] == "done").all() and np.isfinite(ledger["test_mae"]).all()
    embeddings = pd.read_parquet(run / "embeddings.parquet")
    assert set(ledger["key"]) == set(embeddings["key"])
    assert "cgconv" in (run / "report.html").read_text()
