"""A predictor as a folder of safetensors and JSON.

There are no names, structures or targets of the data that it was trained on in it, but what a model
sees in them: the features by which crystals are judged to be far from them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as decode_arrays
from safetensors.numpy import save as encode_arrays

from analysis.ensemble.spread import Spread
from analysis.novelty import Reference
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import counted
from orchestrator.predict.predictor import FoldEnsemble, Predictor
from orchestrator.predict.tensors import TensorPredictor
from orchestrator.runs import durable
from trainables import checksum
from trainables.crystals.symbols import symbol
from trainables.crystals.targets import TENSORS
from trainables.training import record_file
from trainables.training.checkpoint import CheckpointError, read_record
from trainables.training.panel import Panel

PREDICTOR, ARRAYS, MODELS, README = "predictor.json", "arrays.safetensors", "models", "README.md"
FORMAT = 1
# Of a record; what else is in it, as predictions, would show what it was trained on.
KEPT = ("weights/", "scaler/", "elements/numbers", "handcrafted")
REMEDY = "export it again"
KEY = re.compile(r"[0-9a-f]{24}")
UNKNOWN = dict.fromkeys(("task", "target", "unit", "kind", "classes", "models", "held_out"))


def is_exported(folder: Path) -> bool:
    """Whether a folder is one that `save` has made."""
    return (folder / PREDICTOR).is_file()


def save(predictor: Predictor, records: Path, folder: Path) -> list[Path]:
    """Writes a predictor into a folder; the description last, without which there is none.

    Args:
        records: folder of the records of its models.

    Returns:
        The files.
    """
    written = []
    for key in sorted(predictor.panel.rows):
        row, arrays = read_record(records / f"{key}.safetensors")
        kept = {name: value.numpy() for name, value in arrays.items() if name.startswith(KEPT)}
        text, weights = record_file.encode(row, kept, list(row))
        for suffix, data in ((".safetensors", weights), (".json", text)):
            written.append(folder / MODELS / f"{key}{suffix}")
            durable.write_bytes(written[-1], data)
    beside = encode_arrays(_arrays(predictor))
    durable.write_bytes(folder / ARRAYS, beside)
    durable.write_text(folder / README, _readme(predictor))
    content = {
        "format": FORMAT,
        "facts": dict(predictor.facts),
        "folds": [_described(fold) for fold in predictor.folds],
        "max_atoms": predictor.max_atoms,
        "arrays_sha256": hashlib.sha256(beside).hexdigest(),
    }
    durable.write_json(folder / PREDICTOR, checksum.add(content))
    return [*written, folder / ARRAYS, folder / README, folder / PREDICTOR]


def _arrays(predictor: Predictor) -> dict[str, np.ndarray]:
    found = {}
    for fold in predictor.folds:
        if fold.spread is not None:
            found[f"{fold.fold}/ratios"] = fold.spread.ratios
        if fold.familiar is not None:
            own = fold.familiar
            found |= {
                f"{fold.fold}/{name}": getattr(own, name) for name in ("mean", "scale", "features")
            }
    return {name: np.ascontiguousarray(value) for name, value in found.items()}


def _described(fold: FoldEnsemble) -> dict[str, Any]:
    return {
        "fold": fold.fold,
        "columns": [list(column) for column in fold.columns],
        "weights": fold.weights.tolist(),
        "floor": None if fold.spread is None else fold.spread.floor,
        "scale": None if fold.spread is None else fold.spread.scale,
        "reference": fold.reference,
        "unit": None if fold.familiar is None else fold.familiar.unit,
        "fewest_neighbours": dict(fold.fewest),
    }


def load(folder: Path) -> Predictor:
    """Reads a folder, verified by the digests in it.

    Raises:
        UsageError: something is missing or damaged, or of another version.
    """
    path = folder / PREDICTOR
    try:
        content = json.loads(path.read_bytes())
        if not checksum.matches(content):
            raise ValueError("its digest is another")
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"{path}: damaged ({str(error)[:80]}); {REMEDY}") from None
    if content.get("format") != FORMAT:
        told = f"of format {content.get('format')}, this version reads {FORMAT}"
        raise UsageError(f"{path}: {told}; {REMEDY} by this version")
    arrays = _read_arrays(folder / ARRAYS, str(content.get("arrays_sha256")))
    try:
        folds = tuple(_fold(about, arrays) for about in content["folds"])
        keys = sorted({key for fold in folds for column in fold.columns for key in column})
        if strange := [key for key in keys if not KEY.fullmatch(key)]:
            raise ValueError(f"{strange[0][:40]!a} is no key of a model")
        panel = Panel.load(folder / MODELS / f"{key}.safetensors" for key in keys)
        if unknown := sorted({fold.reference for fold in folds} - panel.rows.keys()):
            raise ValueError(f"{unknown[0][:40]!a} is none of its models")
        kinds = {kind.name for kind in panel.representations}
        if any(fold.fewest and kinds - fold.fewest.keys() for fold in folds):
            raise ValueError("nothing on some graphs")
        facts = _facts(content["facts"], panel)
        kind = TensorPredictor if panel.target.kind in TENSORS else Predictor
        return kind(facts, panel, folds, int(content["max_atoms"]))
    except CheckpointError as error:
        raise UsageError(str(error)) from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UsageError(f"{path}: no predictor ({str(error)[:80]}); {REMEDY}") from None


def _read_arrays(path: Path, sha256: str) -> dict[str, np.ndarray]:
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("SHA-256 differs")
        return dict(decode_arrays(content))
    except FileNotFoundError:
        raise UsageError(f"{path}: missing; {REMEDY}") from None
    except (ValueError, SafetensorError) as error:
        raise UsageError(f"{path}: damaged ({error}); {REMEDY}") from None


def _fold(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> FoldEnsemble:
    name, columns = about["fold"], tuple(map(tuple, about["columns"]))
    weights = np.array(about["weights"], dtype=np.float64)
    if weights.shape != (len(columns),) or not (weights > 0).all() or not weights.sum() < 1 + 1e-6:
        raise ValueError(f"fold {name}: weights that are none of its models'")
    if len({len(column) for column in columns}) != 1 or not all(columns):
        raise ValueError(f"fold {name}: columns of different sizes")
    spread = familiar = None
    if about["floor"] is not None:
        floor, scale = (_number(about[part], least=0.0) for part in ("floor", "scale"))
        ratios = arrays[f"{name}/ratios"]
        if not len(ratios) or (np.diff(ratios) < 0).any():
            raise ValueError(f"fold {name}: ratios that do not ascend")
        spread = Spread(floor=floor, scale=scale, ratios=ratios)
    if about["unit"] is not None:
        own = {part: arrays[f"{name}/{part}"] for part in ("mean", "scale", "features")}
        familiar = Reference(**own, unit=_number(about["unit"], least=1e-300))
    return FoldEnsemble(
        fold=int(name),
        columns=columns,
        weights=weights,
        spread=spread,
        familiar=familiar,
        reference=str(about["reference"]),
        fewest={str(kind): int(least) for kind, least in about["fewest_neighbours"].items()},
    )


def _number(value: Any, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < np.inf:
        raise ValueError(f"{str(value)[:40]!a} is no number from {least:g} on")
    return float(value)


def _facts(given: Mapping[str, Any], panel: Panel) -> dict[str, Any]:
    """What is shown; what the models themselves say of the target counts."""
    classes, held = given.get("classes"), given.get("held_out")
    if panel.target.kind == "binary" and classes is not None and len(classes) != 2:
        raise ValueError(f"{len(classes)} classes")
    known = held is None or all(
        value is None or isinstance(value, int | float) for value in dict(held).values()
    )
    if not known:
        raise ValueError("held_out has no numbers")
    own = {"target": panel.target.name, "unit": panel.target.unit, "kind": panel.target.kind}
    return {**UNKNOWN, **given, **own}


def _readme(predictor: Predictor) -> str:
    from importlib.metadata import version  # slow: imports the email package

    facts = predictor.facts
    unit = f" in {facts['unit']}" if facts["unit"] else ""
    met = {z for row in predictor.panel.rows.values() for z in row["elements"]}
    known = " ".join(symbol(z) for z in sorted(met))
    return f"""# {facts["target"]} of crystals

{counted(facts["models"], "model")}, trained on the data set {facts["task"]}, predict
{facts["target"]}{unit}, with a standard deviation and an interval. They have met the elements
{known}.

elemgrid, a Python package ({version("elemgrid")} made this folder), reads them; it needs neither
Ray nor the data. CIF, POSCAR, JSON, CSV and other files of structures are predicted by

```bash
elemgrid predict . STRUCTURES... --out predictions.csv    # --help lists formats and columns
```

and structures of pymatgen or ASE by

```python
import elemgrid

elemgrid.load_run(".").predict(structures)  # a DataFrame with the same columns
```

`predictor.json` says which models and weights; `models/` has them; `arrays.safetensors` has what
intervals and the flag `outside` rest on: errors of validation, and features that the models make of
the crystals that they were trained on, whose names, structures and values are not here.
"""
