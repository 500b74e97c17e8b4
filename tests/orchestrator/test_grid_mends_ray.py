"""The same command on a run in which bits have flipped, and records are wrong: as undisturbed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
from safetensors.numpy import load, save

from orchestrator import cli
from tests.orchestrator.small_grids import FinishedGrid, digests, grid, key_of
from trainables.representations import shards
from trainables.training import record_file

pytestmark = pytest.mark.usefixtures("ray_cluster")

OUTPUTS = ("embeddings.parquet", "predictions.parquet", "distances.parquet")


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 4
    path.write_bytes(content)


def seal(records: Path, key: str, **changes: object) -> None:
    """Changes a row and gives it checksums that are right."""
    row = json.loads((records / f"{key}.json").read_text())
    del row["crc32"]
    text = json.dumps(row | changes).encode().removesuffix(b"}")
    (records / f"{key}.json").write_bytes(text + record_file.seal(text))


def test_flipped_bits_and_wrong_records_are_mended_by_the_same_command(
    finished: FinishedGrid, tmp_path: Path
) -> None:
    run = finished.copy(tmp_path / "run")
    before = {name: digest for name, digest in digests(run).items() if name.startswith("tables/")}
    before |= {name: digests(run)[name] for name in OUTPUTS}
    for number, name in enumerate([*before, "ledger.parquet", "SHA256SUMS", "report.html"]):
        flip(run / name, 7919 * (number + 1))
    (folder,) = (run / "shards").iterdir()
    flip(folder / "quarantine.csv", 3)
    kind = sorted(path for path in folder.iterdir() if path.is_dir())[0]
    flip(kind / shards.MANIFEST, 200)
    # A whole array, which comes back bit for bit: each of its models is wrong in its own way.
    records = run / "records"
    keys = [key_of(finished.run, "megnet", 8, mixing) for mixing in "H0L"]
    seal(records, keys[0], mixing="L")
    arrays = load((records / f"{keys[1]}.safetensors").read_bytes())
    arrays["elements/numbers"] = arrays["elements/numbers"] * 0
    content = save(arrays)
    (records / f"{keys[1]}.safetensors").write_bytes(content)
    seal(records, keys[1], arrays_sha256=hashlib.sha256(content).hexdigest())
    flip(records / f"{keys[2]}.safetensors", 5000)

    said = grid(*finished.flags(run))
    assert said.code == 0, said.err
    for key in keys:
        assert f"{key}." in said.err and (records / f"{key}.json.damaged").is_file()
    assert "mixing is L, and H in the model of this key" in said.err
    assert "elements/numbers or counts are of no elements" in said.err
    now = digests(run)
    assert {name: now[name] for name in before} == before
    ledger = pd.read_parquet(run / "ledger.parquet").drop(columns="seconds")
    pd.testing.assert_frame_equal(ledger, finished.ledger.drop(columns="seconds"))
    assert cli.main(["report", str(run)]) == 0


@pytest.mark.faults
def test_done_without_arrays_is_no_dead_end(finished: FinishedGrid, tmp_path: Path) -> None:
    run = finished.copy(tmp_path / "run")
    key = key_of(finished.run, "cgcnn", 4, "H")
    path = run / "records" / f"{key}.json"
    row = json.loads(path.read_text())
    del row["crc32"], row["arrays_sha256"]
    text = json.dumps(row).encode().removesuffix(b"}")
    path.write_bytes(text + record_file.seal(text))
    path.with_suffix(".safetensors").unlink()
    said = grid(*finished.flags(run))
    assert said.code == 0 and f"{path}: damaged (done, without arrays); it is set aside" in said.err
