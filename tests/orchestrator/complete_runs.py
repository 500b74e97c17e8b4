"""A run with the files of every job, made without Ray; and the readers of each file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.consensus.agreement import Reference, agree
from analysis.element_table import to_csv
from analysis.elements import SYMBOLS
from analysis.substitution.groups import divide, ions
from orchestrator import cli
from orchestrator.contrast import files as contrast
from orchestrator.data import featurise
from orchestrator.data.formula_list import digest_of as digest_of_formulas
from orchestrator.data.shard_writer import ShardWriter
from orchestrator.data.withheld import withheld_by
from orchestrator.dos import files as dos
from orchestrator.element_groups import files as groups
from orchestrator.element_groups.models import Measured
from orchestrator.element_scale import files as scale
from orchestrator.ensemble import files as ensemble
from orchestrator.runs import sums
from orchestrator.runs.checkpoints import FOLDER as CHECKPOINTS
from orchestrator.runs.checkpoints import Checkpoints
from orchestrator.runs.finished_files import read_sealed, verify
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import LEDGER, digest_of
from orchestrator.runs.records import Records
from orchestrator.runs.run_directory import open_manifest, write_manifest
from orchestrator.transfer import files as transfer
from orchestrator.transfer.entries import SCHEMA as TRANSFER_SCHEMA
from orchestrator.transfer.tables import load_tables
from tests.orchestrator.finished_runs import change_config, make_run
from trainables.crystals.quarantine import Quarantine
from trainables.models.backbones import BACKBONES
from trainables.representations import shards
from trainables.testing.samples import made_up_dataset
from trainables.training.fit import ArrayFit
from trainables.training.snapshot import SnapshotError
from trainables.training.specification import ArraySpec

KIND = BACKBONES["cgcnn"].representation
MADE_FROM = {"source": "here"}
SPEC = ArraySpec(
    backbone="cgcnn", dim=4, mixings={"H": "a"}, fold=0, seed=0,
    recipe=BACKBONES["cgcnn"].recipes["tuned"],
)  # fmt: skip
LOCKS = (".lock", "records/.lock")  # without content to damage
ARRAY = "salts/fold0/cgcnn/d4"


def complete_run(run: Path) -> Path:
    """A grid with an ensemble, a submission, groups, a scale and tables; beside it a transfer."""
    make_run(run, backbones=("cgcnn",), dims=(4,), mixing=("H", "L"))
    finished = FinishedRun(run)
    made_from = {sums.MADE_FROM: {LEDGER: finished.digest}}
    sums.write_text(run, "without.txt", "NaCl\n")
    change_config(run, without=digest_of_formulas({"NaCl"}))
    manifest = json.loads((run / "manifest.json").read_text())
    asked = {name: manifest[name] for name in ("config", "training_version")}
    run.with_name("asked.json").write_text(json.dumps(asked))
    _shards(run / "shards" / "salts")
    Checkpoints(run / CHECKPOINTS).write(ARRAY, ArrayFit(SPEC, made_up_dataset("cgcnn", 30)).save())
    table = np.random.default_rng(0).normal(size=(118, 3))
    sums.write_text(run, "tables/Mat2Vec-H-3.csv", to_csv(table))
    elements = {symbol: {"seen": True} for symbol in SYMBOLS[1:]}
    about = {"strategy": "H", "dim": 3, "elements": elements}
    sums.write_json(run, "tables/Mat2Vec-H-3.meta.json", about | made_from)
    assert cli.main(["ensemble", str(run)]) == 0
    sums.write_json(run, ensemble.INFO, {"authors": ""})
    sums.write_bytes(run, ensemble.RESULTS, b"\x1f\x8b results")
    _groups(run, list(finished.done["key"][:2]), made_from)
    _scale(run)
    _transfer(run.with_name("transfer"))
    _dos(run)
    _contrast(run)
    return run


def _shards(folder: Path) -> None:
    data = made_up_dataset("cgcnn", 12)
    folder.mkdir(parents=True)
    quarantine = Quarantine(1.0)
    quarantine.add("salts.csv:3", "x", "two atoms in one place", 3)
    featurise.write_quarantine(folder / featurise.QUARANTINE, quarantine.rows())
    writer = ShardWriter(folder / KIND.name, KIND.columns)
    places = np.arange(12)
    writer.add(shards.to_table(list(map(str, places)), places, data.target, data.graphs))
    digest = featurise._digest(folder / featurise.QUARANTINE)
    writer.close({"made_from": MADE_FROM, "total": 12, "bad": 0, "quarantine": digest})


def _groups(run: Path, keys: list[str], made_from: dict[str, Any]) -> None:
    numbers = np.array([3, 9, 11, 17, 19])
    references = {key: Reference(numbers, np.array([0, 1, 0, 1, 0])) for key in keys}
    rows = [{"key": key, "channel": "mixed", "elements": 5, "dim": 4} for key in keys]
    clusters = {key: (2, 0.5) for key in keys}
    groups.write_models(run, Measured(rows, references, clusters))
    listed = list(references.values())
    groups.write_partners(run, agree(listed))
    groups.write_groups(run, divide(numbers, listed[0].labels, ions()), {3: 0.5})
    for name in (groups.SCREENING, groups.UNTRAINED, groups.RELATIONS):
        frame = pd.DataFrame({column: [0.25] for column in groups.COLUMNS[name]})
        groups.write_frame(run, name, frame)
    sums.write_json(run, groups.FACTS, {"tasks": ["salts"], **made_from})


def _scale(run: Path) -> None:
    places = {"H": 1.0, "Li": 2.0, "Na": 3.0}
    pairs = [(a, b) for a in places for b in places if a != b]
    columns = {"a": [a for a, _ in pairs], "b": [b for _, b in pairs]}
    numbers = {"replaceability": np.arange(6.0), "distance": np.arange(6.0)}
    sums.write_parquet(run, scale.PAIRS, pa.table(columns | numbers))
    sums.write_parquet(run, scale.FRONT, pa.table({"lambda": [0.5], "pull": [1.0]}))
    sums.write_json(run, scale.EXPORT, places)
    sums.write_text(run, scale.POSITIONS, "symbol,position\nH,1\nLi,2\nNa,3\n")
    sums.write_json(run, scale.FACTS, {"lambda": 0.5, "source": {"name": "made up"}})


def _dos(run: Path) -> None:
    sums.write_parquet(run, dos.LEDGER, pa.table({"key": ["k"], "val_error": [0.5]}))
    row = {"id": "a", "fold": 0, "target": [0.5], "prediction": [0.25], "mse": 0.0625}
    sums.write_rows(run, dos.PREDICTIONS, [row], dos.PREDICTED)
    sums.write_rows(run, dos.ELEMENTS, [{"symbol": "H", "prediction": [1.0]}], dos.OF_ELEMENTS)
    about = {"phonons": False, "crystals": 1, "name": "edos"}
    sums.write_json(run, dos.FACTS, {"folds": [], "recipe": "tuned", "data": about})


def _contrast(run: Path) -> None:
    sums.write_parquet(run, contrast.LEDGER, pa.table({"key": ["k"], "val_error": [0.5]}))
    row = {"id": "a", "formula": "ClNa", "part": "test", "member": 0}
    sums.write_rows(run, contrast.EMBEDDINGS, [row | {"crystal": [1.0]}], contrast.EMBEDDED)
    predicted = {name: row[name] for name in ("id", "formula", "part")} | {"head": 4.5}
    sums.write_rows(run, contrast.PREDICTIONS, [predicted], contrast.PREDICTED)
    sums.write_json(
        run, contrast.FACTS, {"recipe": "tuned", "data": {"materials": 1, "name": "slabs"}}
    )


def _transfer(run: Path) -> None:
    asked = {"config": {"tasks": ["made-up"]}}
    run.mkdir()
    write_manifest(run, {"job": "transfer", **asked})
    text = dict.fromkeys(TRANSFER_SCHEMA.names) | {"key": "k", "task": "made-up", "status": "done"}
    table = pa.Table.from_pylist([text | {"val_error": 0.5}], schema=TRANSFER_SCHEMA)
    sums.write_parquet(run, transfer.LEDGER, table)
    row = {"table": "a", "task": "made-up", "fold": 0, "seed": 0, "metric": "mae", "value": 0.5}
    transfer.write_scores(run, pd.DataFrame([row]))
    of = {LEDGER: digest_of(table.to_pandas())}
    sums.write_json(run, transfer.FACTS, {"compared": [], sums.MADE_FROM: of})


# ---------------------------------------------------------------------------------------- readers


def _snapshot(run: Path) -> str:
    """Whether the training resumes from it; otherwise it starts again."""
    content = Checkpoints(run / CHECKPOINTS).read(ARRAY)
    assert content is not None
    fit = ArrayFit(SPEC, made_up_dataset("cgcnn", 30))
    try:
        fit.load(content)
    except SnapshotError as error:
        return f"made again: {error}"
    return fit.save().hex()


def _featurised(run: Path) -> str:
    found = featurise._existing(run / "shards" / "salts", [KIND], MADE_FROM)
    return "made again" if found is None else f"{found.fingerprints} {found.crystals} {found.bad}"


def _shard(run: Path) -> Any:
    data = shards.load(run / "shards" / "salts" / KIND.name, KIND.columns)
    return data.target, data.ids, data.rows, *vars(data.graphs).values()


def _manifest(run: Path) -> Any:
    manifest = FinishedRun(run).manifest
    asked = json.loads((run.parent / "asked.json").read_text())
    open_manifest(run, "hybrid_grid", asked, what="grid", extend=False)
    return {name: manifest[name] for name in ("config", "created", "datasets", "models")}


def readers(run: Path) -> dict[str, list[Callable[[Path], Any]]]:
    """By file, its readers: each file of a complete run has some."""
    found: dict[str, list[Callable[[Path], Any]]] = {
        "manifest.json": [_manifest],
        "ledger.parquet": [lambda run: FinishedRun(run).ledger],
        "distances.parquet": [lambda run: FinishedRun(run).distances],
        "embeddings.parquet": [lambda run: pd.read_parquet(FinishedRun(run).embeddings)],
        "predictions.parquet": [lambda run: pd.read_parquet(FinishedRun(run).predictions)],
        "without.txt": [lambda run: sorted(withheld_by(run))],
        "shards/salts/quarantine.csv": [_featurised],
        "ensemble.json": [lambda run: ensemble.FinishedEnsemble(run).facts],
        "ensemble.parquet": [lambda run: ensemble.FinishedEnsemble(run).predicted],
        "consensus.json": [lambda run: groups.FinishedGroups(run).facts],
        "groups.csv": [lambda run: groups.FinishedGroups(run).groups],
        "geometry.parquet": [lambda run: groups.FinishedGroups(run).geometry],
        "partners.parquet": [lambda run: groups.FinishedGroups(run).partners],
        "element_scale.json": [lambda run: scale.FinishedScale(run).positions],
        "pareto.parquet": [lambda run: scale.FinishedScale(run).front],
        "replaceability.parquet": [lambda run: scale.FinishedScale(run).pairs],
        "scale.meta.json": [lambda run: scale.FinishedScale(run).facts],
        "contrast.json": [lambda run: contrast.FinishedContrast(run).facts],
        "contrast_embeddings.parquet": [lambda run: contrast.FinishedContrast(run).embeddings],
        "contrast_predictions.parquet": [lambda run: contrast.FinishedContrast(run).predictions],
        "dos.json": [lambda run: dos.FinishedDos(run).facts],
        "dos_predictions.parquet": [lambda run: dos.FinishedDos(run).predictions],
        "dos_elements.parquet": [lambda run: dos.FinishedDos(run).elements],
    }
    for name in (groups.SCREENING, groups.UNTRAINED, groups.RELATIONS):
        found[name] = [lambda run, name=name: groups.FinishedGroups(run).optional(name)]
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if not path.is_file() or name in found or name in (sums.FILE, *LOCKS):
            continue
        if path.parent.name == "records":
            found[name] = [lambda run, key=path.stem: _record(run, key)]
        elif path.parent.name == "tables":
            found[name] = [lambda run: load_tables([_table(run)], (0,), controls=False)[0].digest]
        elif name.startswith(CHECKPOINTS):
            found[name] = [_snapshot]
        elif name.startswith("shards/"):
            found[name] = [_shard, _featurised]
        else:  # only `sha256sum --check` reads it
            found[name] = [lambda run, name=name: verify(run, name, "its job").read_bytes()]
    own_digests = ("records/", "shards/", CHECKPOINTS)
    listed = [own for name, own in found.items() if not name.startswith(own_digests)]
    found[sums.FILE] = [read for own in listed for read in own]
    return found


def _table(run: Path) -> str:
    return str(run / "tables" / "Mat2Vec-H-3.csv")


def _record(run: Path, key: str) -> Any:
    records = Records(run / "records")
    return records.read(key), records.arrays(key)


def transfer_readers() -> dict[str, list[Callable[[Path], Any]]]:
    """`readers` of the comparison."""
    return {
        "transfer.json": [lambda run: transfer.FinishedTransfer(run).facts],
        "transfer.parquet": [lambda run: transfer.FinishedTransfer(run).scores],
        "transfer_ledger.parquet": [lambda run: transfer.FinishedTransfer(run).ledger],
        "manifest.json": [lambda run: read_sealed(run / "manifest.json", "transfer")["config"]],
    }
