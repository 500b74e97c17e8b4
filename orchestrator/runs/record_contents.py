"""Validates the content of a record: whether a row and its arrays are those of a model.

A checksum shows that a file is as it was written, not that its content makes sense. Each function
returns the reason why it does not, in a few words, or "".

Legend: Z elements, D dimensions.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from trainables.elements import handcrafted
from trainables.targets.base import MEAN_ABSOLUTE_ERROR
from trainables.training.contrast_spec import ContrastSpec
from trainables.training.density_spec import DensitySpec
from trainables.training.specification import (
    CrabNetSpec,
    ModelSpec,
    Specification,
    SpecificationError,
)

DONE, FAILED, DIVERGED = "done", "failed", "diverged"
STATUSES = (DONE, FAILED, DIVERGED)
# The columns on where a model was trained, and with what; not part of its key.
ENVIRONMENT = (
    pa.field("device", pa.string()), pa.field("kernels", pa.string()),
    pa.field("threads", pa.int64()), pa.field("versions", pa.string()),
)  # fmt: skip
# In the metric of the target's kind; and again where that is the MAE in the target's unit.
ERRORS, MAES = (
    tuple(f"{part}_{what}" for part in ("train", "val", "test", "dummy"))
    for what in ("error", "mae")
)
# log10 of the learned over the handcrafted part of the element vectors; null if infinite.
RATIOS = ("log_ratio_start", "log_ratio_end")
# Test errors of a hybrid with the vectors of one channel averaged, and given to other elements.
ABLATIONS = tuple(
    f"{channel}_{how}_error" for channel in ("h", "l") for how in ("mean", "permuted")
)
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("key", "task", "backbone")]
    + [("dim", pa.int64()), ("mixing", pa.string()), ("fold", pa.int64()), ("seed", pa.int64())]
    + [("recipe", pa.string()), ("status", pa.string()), ("metric", pa.string())]
    + [(name, pa.float64()) for name in (*ERRORS, *MAES)]
    + [("scores", pa.string()), *((name, pa.float64()) for name in (*RATIOS, *ABLATIONS))]
    + [(f"n_{part}", pa.int64()) for part in ("train", "val", "test")]
    + [(name, pa.int64()) for name in ("epochs", "best_epoch", "parameters")]
    + [("seconds", pa.float64())]
    + [(name, pa.string()) for name in ("target", "unit", "spec", "array")]
    + [*ENVIRONMENT, ("error", pa.string())]
)

LARGEST_ROW = 1 << 20  # bytes; the longest part of one is the text of an error
TYPES: dict[pa.DataType, tuple[type, ...]] = {
    pa.string(): (str,), pa.int64(): (int,), pa.float64(): (float, int),
}  # fmt: skip
INT64 = 1 << 63
BESIDE = {"crc32", "arrays_sha256"}  # entries of a row that are no columns
RENAMED = ("task", "array")  # the same data may have another name in another grid
NAMES = re.compile(
    r"weights/.+|table|handcrafted|scaler/(mean|scale)|curve/(train_loss|val_mae)"
    r"|predictions/(validation|test)/(row|value|ptr)|predictions/work_function"
    r"|(untrained/)?(embeddings/(crystal|profile)|features/crystal)|split/(train|validation|test)"
    r"|elements/(numbers|counts|density|mixed|h|l|layer[1-9]\d*)"
)
PARTS = {"validation": "n_val", "test": "n_test"}  # of the predictions, and their columns
# By a field that no other has; CrabNetSpec has none.
SPECIFICATIONS: dict[str, type[Specification]] = {
    "backbone": ModelSpec, "window": DensitySpec, "learns": ContrastSpec,
}  # fmt: skip
SHORT = {"train": "train", "validation": "val", "test": "test"}  # of the parts, in columns
LARGEST_Z = 118


Columns = dict[str, tuple[type, ...]]


def columns_of(schema: pa.Schema) -> Columns:
    """The JSON types of a ledger's columns."""
    return {field.name: TYPES[field.type] for field in schema}


def completed(row: dict[str, Any], columns: Columns) -> dict[str, Any]:
    """A row with the columns that earlier versions had not, or had as MAEs alone."""
    if RATIOS[0] in columns:
        row = dict.fromkeys((*RATIOS, *ABLATIONS)) | row
    if "metric" not in columns or "metric" in row:
        return row
    errors = {name: row.get(mae) for name, mae in zip(ERRORS, MAES, strict=True)}
    return row | {"metric": MEAN_ABSOLUTE_ERROR, "scores": None} | errors


def wrong_in_row(row: Any, key: str, columns: Columns, asked: Mapping[str, Any] | None) -> str:
    """Why an object is no row of this key.

    Args:
        columns: of the ledger.
        asked: the expected columns of the key's model, if known.
    """
    if not isinstance(row, dict) or row.get("key") != key:
        return "the row of another model"
    if odd := sorted((row.keys() - BESIDE) ^ columns.keys()):
        return f"column {odd[0][:40]} is {'missing' if odd[0] in columns else 'unknown'}"
    for name, kinds in columns.items():
        value = row[name]
        if value is None:
            continue
        kind = type(value)
        if kind not in kinds:
            return f"{name} is no {'text' if str in kinds else 'number'}"
        if kind is not str and not _in_range(name, value):
            return f"{name} is out of its range"
    if row["status"] not in STATUSES:
        return "no status"
    return "" if asked is None else _not_as_asked(row, columns, asked)


def _in_range(name: str, value: float) -> bool:
    if name in RATIOS:
        return math.isfinite(value)
    return -1 <= value < INT64 if type(value) is int else 0 <= value < math.inf


def _not_as_asked(row: Mapping[str, Any], columns: Columns, asked: Mapping[str, Any]) -> str:
    for name, value in asked.items():
        if name == "spec":
            if why := _wrong_spec(row[name], value):
                return why
        elif name not in RENAMED and row[name] != value:
            return f"{name} is {str(row[name])[:40]}, and {value} in the model of this key"
    if row["status"] == DONE:
        # A comparison has a validation error alone.
        needed = columns.keys() & {*ERRORS, "epochs", "best_epoch", "parameters", "seconds"}
        needed |= {*MAES} if row.get("metric") == MEAN_ABSOLUTE_ERROR else set()
        for name in sorted(needed | {"n_train", "n_val", "n_test"}):
            if row[name] is None:
                return f"done, without {name}"
        if "arrays_sha256" not in row:
            return "done, without arrays"
    return ""


def _wrong_spec(recorded: str | None, asked: str) -> str:
    """Why a text does not specify the requested model.

    Not every difference counts: a text written before a field was added lacks that field.
    """
    if recorded == asked:
        return ""
    fields = json.loads(asked)
    kind = next((own for field, own in SPECIFICATIONS.items() if field in fields), CrabNetSpec)
    try:
        key = kind.read(recorded or "").key
    except SpecificationError as error:
        return f"spec: {error}"
    return "" if key == kind.read(asked).key else "spec is that of another model"


def wrong_in_arrays(
    arrays: Mapping[str, np.ndarray],
    row: Mapping[str, Any],
    parts: Mapping[str, np.ndarray] | None = None,
) -> str:
    """Why arrays are not those of a done model.

    Args:
        row: of the model.
        parts: rows of the data set by part of the fold, if known.
    """
    for name, value in arrays.items():
        if not NAMES.fullmatch(name):
            return f"array {name[:60]} is unknown"
        finite = value.dtype.kind != "f" or name.startswith("curve/") or np.isfinite(value).all()
        if value.dtype.kind not in "fiu" or not finite:
            return f"{name} holds what is no number"
    if "learns" in row:
        return _wrong_spaces(arrays, row)
    for part, column in PARTS.items():
        if why := _wrong_predictions(arrays, part, row.get(column), parts, _shape(row)):
            return why
    if arrays.get("curve/val_mae", np.zeros(0)).ndim != 1:
        return "curve/val_mae is no list of numbers"
    if "dim" not in row:
        return ""
    return _wrong_table(arrays, row) or _wrong_elements(arrays, row)


def _wrong_spaces(arrays: Mapping[str, np.ndarray], row: Mapping[str, Any]) -> str:
    """Why arrays are not those of a contrastive model, or of the regression of its encoder."""
    parts = {f"split/{part}": f"n_{short}" for part, short in SHORT.items()}
    vectors = ("embeddings/crystal", "embeddings/profile", "features/crystal")
    if row["learns"] == "work_function":
        needed = ["predictions/work_function"]
    else:
        needed = [before + name for before in ("", "untrained/") for name in vectors]
    for name in (*parts, *needed):
        if name not in arrays:
            return f"without {name}"
    materials = len(arrays[needed[0]])
    for name in needed:
        values, axes = arrays[name], 1 if name.startswith("predictions") else 2
        if values.dtype.kind != "f":
            return f"{name} is of another type"
        if values.ndim != axes or len(values) != materials:
            return f"{name} is of another size"
    for name, column in parts.items():
        rows = arrays[name]
        if rows.dtype.kind not in "iu" or rows.ndim != 1 or len(rows) != row[column]:
            return f"{name} is of another size"
        if len(rows) and not 0 <= rows.min() <= rows.max() < materials:
            return f"{name} is of other materials"
    return ""


def _wrong_table(arrays: Mapping[str, np.ndarray], row: Mapping[str, Any]) -> str:
    """Why the handcrafted table is not that of the specification."""
    recipe = json.loads(row.get("spec") or "{}").get("recipe", {})
    name = recipe.get("handcrafted", handcrafted.CGCNN92)
    if name in handcrafted.BUILT_IN:
        return "handcrafted is of no built-in table" if "handcrafted" in arrays else ""
    try:
        handcrafted.table_of(name, arrays.get("handcrafted"))
    except ValueError as error:
        return str(error)
    return ""


def _wrong_predictions(
    arrays: Mapping[str, np.ndarray],
    part: str,
    number: int | None,
    parts: Mapping[str, np.ndarray] | None,
    shape: tuple[int, ...],
) -> str:
    name = f"predictions/{part}"
    try:
        rows, values = arrays[f"{name}/row"], arrays[f"{name}/value"]
    except KeyError:
        return f"without {name}"
    if rows.dtype.kind not in "iu" or values.dtype != np.float64:
        return f"{name} is of another type"
    fits = rows.ndim == 1 and values.ndim > 0 and values.shape[1:] == shape
    if not fits or len(rows) != _crystals(arrays, name, len(values)):
        return f"{name} is of another size"
    if number not in (None, len(rows)):
        return f"{name} is of another size"
    if parts is not None and part in parts and not np.array_equal(rows, parts[part]):
        return f"{name} is of other crystals than the fold's"
    return ""


def _shape(row: Mapping[str, Any]) -> tuple[int, ...]:
    """Of a value of the target, as the row's specification has it."""
    spec = json.loads(row.get("spec") or "{}")
    return tuple(spec.get("target", {}).get("shape", ()))


def _crystals(arrays: Mapping[str, np.ndarray], name: str, values: int) -> int:
    """Of how many crystals so many values are; those of sites have a pointer beside them."""
    ptr = arrays.get(f"{name}/ptr")
    if ptr is None:
        return values
    sound = ptr.ndim == 1 and len(ptr) and ptr[0] == 0 and ptr[-1] == values
    return len(ptr) - 1 if sound and (np.diff(ptr) > 0).all() else -1


def _wrong_elements(arrays: Mapping[str, np.ndarray], row: Mapping[str, Any]) -> str:
    for name in ("curve/val_mae", "elements/numbers", "elements/counts", "elements/mixed"):
        if name not in arrays:
            return f"without {name}"
    numbers, counts = arrays["elements/numbers"], arrays["elements/counts"]
    if numbers.dtype != np.uint8 or counts.dtype != np.int64:
        return "elements/numbers or counts are of another type"
    if numbers.ndim != 1 or not numbers.size or counts.shape != numbers.shape:
        return "elements/numbers or counts are of another size"
    rising = (np.diff(numbers.astype(np.int64)) > 0).all()
    if not rising or numbers[0] < 1 or numbers[-1] > LARGEST_Z or (counts < 1).any():
        return "elements/numbers or counts are of no elements"
    for name, vectors in arrays.items():
        channel = name.removeprefix("elements/")
        if channel == name or channel in ("numbers", "counts"):
            continue
        if vectors.dtype != np.float32:
            return f"{name} is of another type"
        # Layers may differ in width from the embedding.
        width = None if channel.startswith("layer") else row["dim"]
        if vectors.ndim != 2 or len(vectors) != len(numbers) or not vectors.shape[1]:
            return f"{name} is of another size"
        if width is not None and vectors.shape[1] != width:
            return f"{name} is of another size"
    return ""
