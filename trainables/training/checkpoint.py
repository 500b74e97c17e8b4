"""A recorded model, ready to predict: `records/<key>.safetensors` of a run, and the row beside it.

Legend: B crystals, … the shape of one crystal's target.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as decode_tensors
from torch import nn

from trainables.crystals.symbols import symbol
from trainables.elements import handcrafted
from trainables.models.backbones import BACKBONES
from trainables.models.embedding import HybridEmbedding
from trainables.models.mixing import Mixing
from trainables.representations.allowed import allowed
from trainables.representations.batches import DeviceColumns
from trainables.representations.columns import Columns, ranges
from trainables.targets.base import Scaler
from trainables.targets.kinds import kind_of
from trainables.training import record_file
from trainables.training.fit import build_embedding, build_model
from trainables.training.problem import predictions
from trainables.training.specification import ModelSpec

COPY = "copy the record again, or run the command that trained it"


class CheckpointError(ValueError):
    """A file that is not a recorded model; one line that names it."""


class Predicted(NamedTuple):
    """Predictions of a model for B crystals.

    Attributes:
        values: [B, …] float64 in the target's unit, or the probability of class 1; of sites [N],
            one crystal after the other. NaN where the model has no basis for a prediction.
        reasons: per crystal, "" or why: like "Ar was in no training crystal".
    """

    values: np.ndarray
    reasons: list[str]


def load_model(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The best-validation model of a record, in evaluation mode, on the CPU.

    A record is two files. The row, `<key>.json`, ends with a checksum of itself and has the SHA-256
    of the weights, `<key>.safetensors`; both are verified.

    Args:
        path: of the weights; the row has to be beside them.

    Returns:
        The network that the row specifies, as an array of one model, whose output [1, B, …] is
        standardised, or a logit for classes; and the row of the ledger, with `target_mean` and
        `target_scale` added (prediction = output · scale + mean; numbers, or lists of numbers), and
        `elements`, the atomic numbers that occur in the training part.

    Raises:
        CheckpointError: not a record, damaged, or one of a model that did not finish.
    """
    row, arrays = read_record(path)
    weights = {
        name.removeprefix("weights/"): value[None]
        for name, value in arrays.items()
        if name.startswith("weights/")
    }
    if not weights:
        raise CheckpointError(f"{path}: holds no weights; the model did not finish")
    try:
        model = _build([_specification(row)], weights, arrays.get("handcrafted"))
        row["target_mean"] = _number_or_list(arrays["scaler/mean"])
        row["target_scale"] = _number_or_list(arrays["scaler/scale"])
        row["elements"] = arrays["elements/numbers"].tolist()
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise CheckpointError(f"{path}: not a model of this version ({reason})") from None
    return model.eval(), row


def _number_or_list(values: torch.Tensor) -> float | list[float]:
    found: list[float] = values.tolist()
    return found[0] if len(found) == 1 else found


def _specification(row: dict[str, Any]) -> ModelSpec:
    """The specification in the row, which has to be that of its key.

    Raises:
        ValueError: it specifies no model, or another one.
    """
    spec = ModelSpec.read(row["spec"])
    if spec.key != row["key"]:
        raise ValueError(f"its specification is of the model {spec.key}")
    return spec


def stacked(models: Sequence[nn.Module], rows: Sequence[dict[str, Any]]) -> nn.Module:
    """One array of loaded models that are alike, in evaluation mode.

    Args:
        models, rows: as of `load_model`; `form` of all of them is the same.
    """
    states = [model.state_dict() for model in models]
    weights = {name: torch.cat([state[name] for state in states]) for name in states[0]}
    embedding = cast(HybridEmbedding, models[0].embedding)
    return _build([_specification(row) for row in rows], weights, embedding.descriptor).eval()


def form(model: nn.Module, row: dict[str, Any]) -> tuple[Any, ...]:
    """What has to be alike in models of one array: the network, and shapes of its weights."""
    spec = _specification(row)
    table = cast(HybridEmbedding, model.embedding).descriptor.numpy().tobytes()
    shapes = tuple((name, tuple(value.shape)) for name, value in model.state_dict().items())
    network = spec.backbone, spec.dim, spec.options, spec.target, spec.recipe.element_init
    return *network, hashlib.sha256(table).hexdigest(), shapes


def _build(
    specs: Sequence[ModelSpec], weights: dict[str, torch.Tensor], table: torch.Tensor | None
) -> nn.Module:
    """An array of the specified models, with their weights and a handcrafted table.

    Raises:
        ValueError: the weights are those of another network, or of another version of it; or the
            table is another one.
    """
    spec = specs[0]
    installed = BACKBONES[spec.backbone].version
    if spec.network != installed:
        raise ValueError(
            f"trained with version {spec.network} of {spec.backbone}, and {installed} is installed"
        )
    generators, mixings = [torch.Generator() for _ in specs], [Mixing(one.mixing) for one in specs]
    own = None if table is None else table.numpy()
    columns = handcrafted.table_of(spec.recipe.handcrafted, own)
    embedding = build_embedding(
        generators, mixings, spec.dim, spec.recipe.element_init, table=columns
    )
    model = build_model(spec.backbone, generators, embedding, spec.options, spec.target)
    built = {name: tuple(value.shape[1:]) for name, value in model.state_dict().items()}
    recorded = {name: tuple(value.shape[1:]) for name, value in weights.items()}
    for name in sorted(built.keys() | recorded.keys()):
        if built.get(name) != recorded.get(name):
            sizes = _size(recorded.get(name)), _size(built.get(name))
            raise ValueError(f"weights/{name}: {sizes[0]}, and {sizes[1]} as specified")
    model.load_state_dict(weights)
    return model


def _size(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else " × ".join(map(str, shape)) or "a number"


def read_record(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Reads both files of a record, each verified: the row, and arrays by name.

    Raises:
        CheckpointError: not a record, or damaged.
    """
    content, beside = _bytes(path), path.with_suffix(".json")
    if not beside.exists():
        raise CheckpointError(
            f"{path}: {beside.name} is not beside it, which says whether the weights are whole;"
            " copy both files of the record"
        )
    row = _row(beside)
    if row.get("arrays_sha256") != hashlib.sha256(content).hexdigest():
        raise CheckpointError(f"{path}: damaged, or not of the row in {beside.name}; {COPY}")
    if row["key"] != path.stem:  # or one model could be mistaken for another
        raise CheckpointError(f"{path}: holds the model {row['key']}; name both files by that")
    try:
        arrays = decode_tensors(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: holds no tensors ({error}); {COPY}") from None
    del row["arrays_sha256"], row["crc32"]
    return row, arrays


def _row(path: Path) -> dict[str, Any]:
    content = _bytes(path)
    try:
        row = record_file.opened(content)
    except (ValueError, RecursionError):
        row = {}
    if not isinstance(row, dict) or not isinstance(row.get("key"), str):
        raise CheckpointError(f"{path}: damaged, or not the row of a record; {COPY}")
    return row


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; records/ of a run has them") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None


def predict(model: nn.Module, row: dict[str, Any], graphs: Columns) -> Predicted:
    """Predictions of a loaded model, and the crystals for which it has none.

    An element in no training crystal has an untrained vector, which is random in the learned part
    of an embedding: a crystal with one gets no number but a reason.

    Args:
        row: as returned by `load_model`.
        graphs: of B crystals and of the kind that the model's backbone takes, full or quotient.
    """
    reasons = [_why(unseen) for unseen in unseen_elements(graphs, row["elements"])]
    kind = kind_of(_specification(row).target)
    size = graphs.nodes if kind.per_site else len(graphs)
    values = np.full((size, *kind.target.shape), np.nan)
    known = np.flatnonzero([not reason for reason in reasons])
    if len(known):
        data = DeviceColumns.load(graphs, np.zeros(len(graphs)))
        said = predictions(model, data, torch.from_numpy(known))[0].double().numpy()
        mean, scale = np.array(row["target_mean"]), np.array(row["target_scale"])
        scaler = Scaler(mean=mean, scale=scale, unit=1.0)
        places = ranges(graphs.node_ptr, known) if kind.per_site else known
        values[places] = allowed(kind, kind.value(said, scaler), graphs, known)
    return Predicted(values, reasons)


def unseen_elements(graphs: Columns, known: list[int]) -> list[list[int]]:
    """For each crystal, its atomic numbers that are not among the known ones, ascending."""
    strange = np.flatnonzero(~np.isin(graphs.z, known))
    owners = np.searchsorted(graphs.node_ptr, strange, side="right") - 1
    found: list[set[int]] = [set() for _ in range(len(graphs))]
    for owner, number in zip(owners, graphs.z[strange], strict=True):
        found[owner].add(int(number))
    return [sorted(numbers) for numbers in found]


def _why(unseen: list[int]) -> str:
    if not unseen:
        return ""
    named = ", ".join(map(symbol, unseen))
    return f"{named} {'was' if len(unseen) == 1 else 'were'} in no training crystal"
