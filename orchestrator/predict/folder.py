"""A predictor as a folder of safetensors and JSON, without the data that it was trained on."""

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
from orchestrator.predict.predictor import FoldEnsemble, Predictor
from orchestrator.runs import durable
from trainables import checksum
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
        "fewest_neighbours": dict(predictor.fewest),
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
        facts, fewest = content["facts"], content["fewest_neighbours"]
        if missing := {kind.name for kind in panel.representations} - fewest.keys():
            raise ValueError(f"nothing on {missing.pop()}")
        return Predictor({**UNKNOWN, **facts}, panel, folds, fewest, int(content["max_atoms"]))
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
    name = about["fold"]
    spread = familiar = None
    if about["floor"] is not None:
        ratios = arrays[f"{name}/ratios"]
        spread = Spread(floor=about["floor"], scale=about["scale"], ratios=ratios)
    if about["unit"] is not None:
        own = {part: arrays[f"{name}/{part}"] for part in ("mean", "scale", "features")}
        familiar = Reference(**own, unit=about["unit"])
    return FoldEnsemble(
        fold=name,
        columns=tuple(map(tuple, about["columns"])),
        weights=np.array(about["weights"]),
        spread=spread,
        familiar=familiar,
        reference=about["reference"],
    )


def _readme(predictor: Predictor) -> str:
    facts = predictor.facts
    unit = f" in {facts['unit']}" if facts["unit"] else ""
    return f"""# {facts["target"]} of crystals

{facts["models"]} models of elemgrid, trained on the data set {facts["task"]}, predict
{facts["target"]}{unit}:

```bash
elemgrid predict . STRUCTURES... --out predictions.csv
```

`predictor.json` says which models and weights; `models/` has them; `arrays.safetensors` has what
intervals and the flag `outside` rest on. The data that they were trained on are not here.
"""
