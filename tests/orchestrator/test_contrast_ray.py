"""The job `contrast` on Ray Train: two workers take the steps of one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from orchestrator import cli
from tests.orchestrator.small_slabs import SMALL


def contrast(run: Path, *flags: str) -> dict[str, dict[str, np.ndarray]]:
    """Arrays of all models, by their names in the ledger."""
    assert cli.main(["contrast", *SMALL, "--float64", "--run", str(run), *flags]) == 0
    ledger = pd.read_parquet(run / "contrast_ledger.parquet")
    return {
        f"{row.learns} {row.member}": load_file(run / "records" / f"{row.key}.safetensors")
        for row in ledger.itertuples()
    }


def test_two_workers_take_the_steps_of_one(
    ray_cluster: object, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, before = contrast(tmp_path / "one"), dict(os.environ)
    two = contrast(tmp_path / "two", "--workers", "2")
    assert dict(os.environ) == before
    assert one.keys() == two.keys() and len(one) == 4
    for model, arrays in one.items():
        for name, values in arrays.items():
            np.testing.assert_allclose(
                two[model][name], values, rtol=1e-6, atol=1e-6, err_msg=f"{model} {name}"
            )
    assert (tmp_path / "two" / "report.html").exists()
    assert not (tmp_path / "two" / ".train").exists()
