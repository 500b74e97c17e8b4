"""The results of a trained model: metrics, element vectors, predictions.

Legend: B crystals, N nodes, Z elements, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from trainables.crystals.split import Split
from trainables.models.mixing import Mixing
from trainables.representations.dataset import Dataset
from trainables.representations.source import GraphSource
from trainables.training.array import History, Trained
from trainables.training.problem import EVALUATION_BATCH, predictions


@dataclass(frozen=True)
class Outcome:
    """All results of one model.

    Attributes:
        history: learning curve, best epoch, seconds.
        metrics: train_mae, val_mae, test_mae, dummy_mae in the target's unit (empty if diverged).
        sizes: n_train, n_val, n_test.
        arrays: name -> array. `elements/numbers` [Z] uint8 and `elements/counts` [Z] int64
            (training crystals that contain the element); `elements/<channel>` [Z, D] for mixed,
            h, l, layer1…; `predictions/<part>/row` and `/value` for validation and test;
            `curve/train_loss`, `curve/val_mae` [epochs]; `weights/<name>` of the best-validation
            model; `scaler/mean` and `scaler/scale` [1], which convert its outputs to the target's
            unit (`checkpoint.load_model` reads both). A diverged model has only curves.
        parameters: number of trainable parameters.
    """

    history: History
    metrics: dict[str, float]
    sizes: dict[str, int]
    arrays: dict[str, np.ndarray]
    parameters: int


def not_evaluated(trained: Trained, split: Split) -> Outcome:
    """The results known from training alone; without one finite validation, it has diverged."""
    history = trained.history
    history.diverged = history.diverged or history.best_epoch < 0
    curves = {
        "curve/train_loss": np.asarray(history.train_loss),
        "curve/val_mae": np.asarray(history.val_error),
    }
    parameters = sum(parameter.numel() for parameter in trained.model.parameters())
    return Outcome(history, {}, split.sizes, curves, parameters)


def evaluate(
    trained: Trained, data: GraphSource, dataset: Dataset, split: Split, mean: float, scale: float
) -> Outcome:
    """Evaluates a model with its best-validation weights; the only use of the test part."""
    outcome = not_evaluated(trained, split)
    if outcome.history.diverged:
        return outcome
    arrays = dict(outcome.arrays)
    metrics = {"dummy_mae": float(np.abs(dataset.target[split.test] - mean).mean())}
    for part, rows in (("train", split.train), ("val", split.validation), ("test", split.test)):
        index = torch.from_numpy(rows)
        value = predictions(trained.model, data, index)[0].double().cpu().numpy() * scale + mean
        metrics[f"{part}_mae"] = float(np.abs(value - dataset.target[rows]).mean())
        if part != "train":
            name = "validation" if part == "val" else part
            arrays[f"predictions/{name}/row"] = rows
            arrays[f"predictions/{name}/value"] = value
    arrays["scaler/mean"], arrays["scaler/scale"] = np.array([mean]), np.array([scale])
    arrays |= _element_vectors(trained, data, split)
    arrays |= {
        f"weights/{name}": value[0].cpu().numpy()
        for name, value in trained.model.state_dict().items()
    }
    return replace(outcome, metrics=metrics, arrays=arrays)


@torch.no_grad()
def _element_vectors(trained: Trained, data: GraphSource, split: Split) -> dict[str, np.ndarray]:
    """Vectors of the elements in the training part: the embedding's, and those of each layer.

    A layer's vector of an element is the mean of its node features over the atoms of that element.
    """
    model = trained.model.eval()
    rows = torch.from_numpy(split.train)
    crystals = torch.zeros(256, dtype=torch.int64)
    atoms: Tensor = torch.zeros(256, dtype=torch.float64)
    totals: list[Tensor] = []
    for batch in data.batches(rows, EVALUATION_BATCH):
        z = batch.z.cpu()
        weight = batch.multiplicity.cpu().double()
        pairs = torch.unique(torch.stack([batch.node_crystal.cpu(), z]), dim=1)
        crystals.index_add_(0, pairs[1], torch.ones_like(pairs[1]))
        atoms.index_add_(0, z, weight)
        for layer, features in enumerate(model.node_layers(batch)):  # type: ignore[operator]
            if layer == len(totals):
                totals.append(torch.zeros(256, features.shape[2], dtype=torch.float64))
            totals[layer].index_add_(0, z, features[0].cpu().double() * weight[:, None])
    seen = torch.nonzero(crystals).squeeze(1)
    vectors = {
        f"elements/layer{layer + 1}": (total[seen] / atoms[seen, None]).float().numpy()
        for layer, total in enumerate(totals)
    }
    h, l = model.embedding.channels()  # type: ignore[union-attr, operator]  # noqa: E741
    vectors["elements/mixed"] = model.embedding()[0].cpu()[seen].numpy()  # type: ignore[operator]
    mixing = Mixing(trained.history.member.label)
    if mixing.handcrafted > 0:
        vectors["elements/h"] = h[0].cpu()[seen].numpy()
    if mixing.learned > 0:
        vectors["elements/l"] = l[0].cpu()[seen].numpy()
    vectors["elements/numbers"] = seen.numpy().astype(np.uint8)
    vectors["elements/counts"] = crystals[seen].numpy()
    return vectors
