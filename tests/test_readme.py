"""README and docs match the code: flags, jobs, make targets and modules.

The block that uses a trained model is run as it stands.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.hybrid_grid.flags import _parser
from orchestrator.jobs import JOBS
from tests.orchestrator.finished_runs import make_run
from trainables.crystals.sources import ANY_COLUMN, open_source
from trainables.models.backbones import BACKBONES
from trainables.representations.featurise import featurise
from trainables.training.checkpoint import load_model, predict

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])


def test_the_table_of_flags_is_that_of_the_parser() -> None:
    text = (DOCS / "grid.md").read_text()
    table = text.split("## Flags of `hybrid_grid`")[1].split("\n## ")[0]
    promised = set(re.findall(r"--[a-z][a-z-]+", table))
    known = {flag for flag in _parser()._option_string_actions if flag.startswith("--")}
    assert promised == known - {"--help"}


def test_the_readme_is_one_screen() -> None:
    assert len(README.splitlines()) <= 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    assert set(named) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_job_exists(page: Path) -> None:
    text = page.read_text()
    named = set(re.findall(r"-m orchestrator\.([a-z_]+)", text))
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    named |= set(re.findall(r"^elemgrid (\w+)", "\n".join(blocks), re.MULTILINE))
    assert named <= set(JOBS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file, and in it to a heading."""
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" in link or (target.exists() and (not anchor or anchor in anchors(target))):
            continue
        missing.append(link)
    assert not missing


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


# ------------------------------------------------------------------------------ the architecture

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
MAP = ARCHITECTURE.split("## Where things are")[1].split("```")[1]
PACKAGES = ("elemgrid", "trainables", "analysis", "orchestrator")


def part_of_the_map(folder: Path) -> str:
    """The lines of the map about a folder: its own one and those that are indented below it."""
    lines = MAP.splitlines()
    for name in folder.parts:
        starts = [n for n, line in enumerate(lines) if line.split()[:1] == [f"{name}/"]]
        if not starts:
            return ""
        first = starts[0]
        indent = len(lines[first]) - len(lines[first].lstrip())
        last = first + 1
        while last < len(lines) and lines[last].startswith(" " * (indent + 1)):
            last += 1
        lines = lines[first:last]
    return "\n".join(lines)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_map_has_every_module(package: str) -> None:
    """Each by its name, in the part of its folder."""
    missing = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.name.startswith("__")
        and not re.search(rf"\b{path.name}", part_of_the_map(path.parent.relative_to(ROOT)))
    ]
    assert not missing, "docs/architecture.md, Where things are"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_map_has_nothing_else(package: str) -> None:
    there = {path.name for path in (ROOT / package).rglob("*.py")}
    assert set(re.findall(r"\w+\.py", part_of_the_map(Path(package)))) <= there


# ------------------------------------------------------------------------------- a trained model

ROCK_SALT = """rock salt
1.0
0.00 2.82 2.82
2.82 0.00 2.82
2.82 2.82 0.00
Na Cl
1 1
direct
0.0 0.0 0.0
0.5 0.5 0.5
"""


def test_the_block_that_uses_a_trained_model_works(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "runs" / "demo", backbones=("megnet",), dims=(4,), mixing=("0",), folds=(0,)
    )
    (key,) = pd.read_parquet(run / "ledger.parquet")["key"]
    crystals = tmp_path / "my_crystals"
    crystals.mkdir()
    (crystals / "id_prop.csv").write_text("a,\nb,\nc,\n")  # no targets
    texts = (ROCK_SALT, ROCK_SALT.replace("2.82", "2.60"), ROCK_SALT.replace("Na Cl", "Na Cm"))
    for name, text in zip("abc", texts, strict=True):
        (crystals / f"{name}.vasp").write_text(text)
    text = (DOCS / "python.md").read_text()
    block = text.split("## One model by itself")[1].split("```python\n")[1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", block.replace("KEY.", f"{key}.")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    left_out, predicted, reasons = done.stdout.splitlines()
    assert left_out == "['', '', '']"
    assert reasons == "['', '', 'Cm was in no training crystal']"
    model, row = load_model(run / "records" / f"{key}.safetensors")
    kind = BACKBONES["megnet"].representation
    entries = list(open_source(crystals, ANY_COLUMN).entries())
    graphs = featurise(entries, [kind], 1000).graphs[kind.name]
    expected, _ = predict(model, row, graphs)
    assert expected[0] != expected[1] and np.isnan(expected[2])
    assert predicted == f"{expected} {row['unit']}"
