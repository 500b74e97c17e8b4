"""A recorded model, ready to predict: `records/<key>.safetensors` of a run.

Legend: B crystals.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from trainables.backbones import BACKBONES
from trainables.crystals.graph import Graphs
from trainables.models.embedding import Mixing
from trainables.training.batches import DeviceGraphs
from trainables.training.fit import build_model
from trainables.training.problem import predictions


class CheckpointError(ValueError):
    """A file that is not a recorded model, in one line that names it."""


def load_model(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The best-validation model of a record, in evaluation mode, on the CPU.

    Returns:
        An array of one model, whose output [1, B] is standardised, and the row of the ledger with
        `target_mean` and `target_scale` beside it: prediction = output · scale + mean.

    Raises:
        CheckpointError: not a record, or one of a model that was not finished.
    """
    row, arrays = _read(path)
    try:
        weights = {
            name.removeprefix("weights/"): value[None]
            for name, value in arrays.items()
            if name.startswith("weights/")
        }
        if not weights:
            raise CheckpointError(f"{path}: holds no weights; the model did not finish")
        spec = BACKBONES[row["backbone"]]
        model = build_model(
            row["backbone"],
            [torch.Generator()],
            [Mixing(row["mixing"])],
            row["dim"],
            spec.load().width_of(weights) if spec.takes_conv_width else None,
        )
        model.load_state_dict(weights)
        row["target_mean"] = float(arrays["scaler/mean"][0])
        row["target_scale"] = float(arrays["scaler/scale"][0])
    except (KeyError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise CheckpointError(f"{path}: not a model of this version ({reason})") from None
    return model.eval(), row


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            row = json.loads((file.metadata() or {})["row"])
            return row, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; records/ of a run has them") from None
    except (SafetensorError, OSError, KeyError, ValueError):
        raise CheckpointError(f"{path}: damaged, or not a record of a model") from None


def predict(model: nn.Module, row: dict[str, Any], graphs: Graphs) -> np.ndarray:
    """Predictions [B] of a loaded model in the target's unit.

    Args:
        row: as of `load_model`.
        graphs: of the kind that the model's backbone takes, full or quotient.
    """
    data = DeviceGraphs.load(graphs, np.zeros(len(graphs)))
    value = predictions(model, data, torch.arange(len(graphs)))[0].double().numpy()
    return np.asarray(value * row["target_scale"] + row["target_mean"])
