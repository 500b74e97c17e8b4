"""A bit that flips in any file of a run is noticed by whoever reads it, or changes nothing."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator import cli
from orchestrator.interface.errors import UsageError
from orchestrator.runs import sums
from orchestrator.runs.records import LedgerError
from tests.orchestrator.complete_runs import LOCKS, complete_run, readers, transfer_readers
from trainables.representations.shards import ShardError

FEW, MANY = 6, 240  # flips a file; 10 000 in all
Reader = Callable[[Path], Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return complete_run(tmp_path_factory.mktemp("flipped") / "run")


@contextlib.contextmanager
def flipped(path: Path, bit: int) -> Iterator[None]:
    """Within it, one bit of a file is another."""
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[bit // 8] ^= 1 << bit % 8
    path.write_bytes(broken)
    try:
        yield
    finally:
        path.write_bytes(whole)


def bits(path: Path, number: int) -> list[int]:
    """The first and the last bit of a file, and some between."""
    size = 8 * path.stat().st_size
    drawn = random.Random(path.name).choices(range(size), k=max(number - 2, 0))
    return [0, size - 1, *drawn][: size and number]


def plain(value: Any) -> Any:
    """A value that can be compared with ==."""
    if isinstance(value, pd.DataFrame):
        return value.to_json(double_precision=15, orient="split")
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes() if value.dtype != object else [*value]
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value


def outcome(run: Path, path: Path, read: Reader) -> Any:
    """What is read, or whether the error names the file."""
    try:
        return plain(read(run))
    except (UsageError, LedgerError, ShardError) as error:
        text = str(error)
        assert path.name in text and "\n" not in text and len(text) < 600, text
        return "named"


def seen(run: Path, every: dict[str, list[Reader]], number: int) -> tuple[int, int]:
    """How many bits were flipped, and how many of them changed nothing."""
    flips = undisturbed = 0
    for name, own in every.items():
        path = run / name
        before = [plain(read(run)) for read in own]
        for bit in bits(path, number):
            with flipped(path, bit):
                found = [outcome(run, path, read) for read in own]
            flips += 1
            undisturbed += found == before
            for one, other in zip(found, before, strict=True):
                again = isinstance(one, str) and (one == "named" or one.startswith("made again"))
                assert again or one == other, f"{name}, bit {bit}"
    return flips, undisturbed


def flip_all(made: Path, number: int, record_property: pytest.RecordProperty) -> int:
    every = readers(made)
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    assert set(every) == files - set(LOCKS)
    found = [
        seen(made, every, number),
        seen(made.with_name("transfer"), transfer_readers(), number),
    ]
    flips, undisturbed = (sum(numbers) for numbers in zip(*found, strict=True))
    record_property("seen", f"{flips} bits in {len(files)} files, of which {undisturbed} harmless")
    return flips


def test_some_flipped_bits_of_every_file(
    made: Path, record_property: pytest.RecordProperty
) -> None:
    assert flip_all(made, FEW, record_property) > 200


@pytest.mark.faults
def test_ten_thousand_flipped_bits(made: Path, record_property: pytest.RecordProperty) -> None:
    assert flip_all(made, MANY, record_property) >= 10_000


# ------------------------------------------------------------------------------------ whole jobs


def flags(job: str, run: Path) -> list[str]:
    if job == "substitutes":
        return ["Na", "--run", str(run)]
    if job == "transfer":
        data = run.parent / "data.csv"
        data.write_text("\n".join(["formula,target", *(f"Na{n}Cl,{n}" for n in range(1, 26))]))
        table = str(run / "tables" / "Mat2Vec-H-3.csv")
        own = str(run.parent / "own")
        return ["--tasks", str(data), "--tables", table, "--run", own, "--no-controls", "--dry-run"]
    return [str(run), "--dry-run"] if job == "element_groups" else [str(run)]


GRID = "ledger.parquet predictions.parquet embeddings.parquet distances.parquet"


@pytest.mark.parametrize(
    ("job", "names"),
    [
        ("report", f"{GRID} ensemble.json ensemble.parquet consensus.json"),
        ("ensemble", "ledger.parquet predictions.parquet"),
        ("element_groups", "ledger.parquet embeddings.parquet distances.parquet"),
        ("substitutes", "groups.csv partners.parquet consensus.json ledger.parquet"),
        ("transfer", "tables/Mat2Vec-H-3.csv tables/Mat2Vec-H-3.meta.json ledger.parquet"),
    ],
)
def test_jobs_name_the_file(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], job: str, names: str
) -> None:
    run = Path(shutil.copytree(made, tmp_path / "run"))
    for name in names.split():
        for bit in bits(run / name, 3):
            with flipped(run / name, bit):
                capsys.readouterr()
                assert cli.main([job, *flags(job, run)]) == 2, (name, bit)
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith(f"error: {run / name}: damaged (")
            assert line.endswith(" again, which writes it anew")


def test_sha256sum_takes_the_digests(made: Path) -> None:
    """They are `sha256sum --check`'s: a run that was copied elsewhere can be checked there."""
    known = sums.read(made)
    assert known is not None
    assert all(sums.of_file(made / name) == digest for name, digest in known.items())
    derived = {"ledger.parquet", "ensemble.json", "report.html", "tables/Mat2Vec-H-3.csv"}
    assert derived <= known.keys()
    first = (made / sums.FILE).read_text().splitlines()[0]
    assert len(first.split("  ")[0]) == 64
