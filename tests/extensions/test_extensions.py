"""What a reader adds in one file goes through the whole job; no file of the product knows it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.orchestrator.small_grids import rows, small_flags, write_matbench
from tests.packages_for_tests import grid_with, install

ROOT = Path(__file__).resolve().parents[2]
ADDED = [p for p in sorted(Path(__file__).parent.glob("*.py")) if not p.name.startswith("test_")]


def lines_of_code(source: str) -> int:
    """Lines that are neither blank, comment nor docstring."""
    documented = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in documented
        for number, line in enumerate(source.splitlines(), 1)
    )


@pytest.mark.parametrize("path", ADDED, ids=lambda p: p.stem)
def test_an_extension_is_short(path: Path) -> None:
    """What it adds; the tests of it are apart."""
    assert lines_of_code(path.read_text()) <= 60


SHOWN = ("densities", "errors_over_time")


@pytest.mark.parametrize("name", SHOWN)
def test_contributing_shows_what_is_tested(name: str) -> None:
    """Each class that it shows of these files is as it stands there."""
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    source = Path(__file__).with_name(f"{name}.py").read_text()
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    shown = [block for block in blocks if block in source]
    assert len(shown) == 1 and "class " in shown[0]


@pytest.mark.ray
def test_a_backbone_of_another_package_goes_to_the_tables(tmp_path: Path) -> None:
    install(tmp_path, "strangers-networks", cgconv="tests.extensions.cgconv:SPEC")
    data, run = write_matbench(tmp_path / "tiny.json.gz", rows(30)), tmp_path / "run"
    grid_with(tmp_path, *small_flags(data, run), "--backbones", "cgconv", "megnet")
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert sorted(ledger["backbone"]) == ["cgconv", "cgconv", "megnet", "megnet"]
    assert (ledger["status"] == "done").all() and np.isfinite(ledger["test_mae"]).all()
    embeddings = pd.read_parquet(run / "embeddings.parquet")
    assert set(ledger["key"]) == set(embeddings["key"])
    assert "cgconv" in (run / "report.html").read_text()
