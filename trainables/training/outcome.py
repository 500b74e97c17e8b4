"""The results of a trained model: metrics, element vectors, predictions.

Legend: B crystals, … the shape of one crystal's target, N nodes, Z elements, D dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from trainables.crystals.split import Split
from trainables.elements.descriptor import MAX_Z
from trainables.models.embedding import HybridEmbedding
from trainables.models.mixing import Mixing
from trainables.representations.allowed import allowed
from trainables.representations.dataset import Dataset
from trainables.representations.graph_batch import Batch
from trainables.representations.source import GraphSource
from trainables.targets.base import MEAN_ABSOLUTE_ERROR, Kind, Scaler
from trainables.training.ablation import errors_without
from trainables.training.array import History, Trained
from trainables.training.problem import EVALUATION_BATCH, predictions


@dataclass(frozen=True)
class Outcome:
    """All results of one model.

    Attributes:
        history: learning curve, best epoch, seconds.
        metrics: train_error, val_error, test_error in the metric of the target's kind, and
            dummy_error, that of its trivial prediction on the test part; the same as train_mae, …
            where the metric is the MAE in the target's unit; the `ratios` of the embedding's
            channels, and of hybrids the `errors_without` one of them. Empty if diverged.
        scores: all metrics of the kind on the test part, by name.
        sizes: n_train, n_val, n_test.
        arrays: name -> array. `elements/numbers` [Z] uint8 and `elements/counts` [Z] int64
            (training crystals that contain the element); `elements/<channel>` [Z, D] for mixed,
            h, l, layer1…; `predictions/<part>/row` and `/value` [B, …] for validation and test (of
            sites flat, with `/ptr` [B+1]); `curve/train_loss`, `curve/val_mae` (the validation
            error) [epochs]; `weights/<name>` of
            the best-validation model; `scaler/mean` and `scaler/scale` [1 or …], which convert its
            outputs to the target's unit (`checkpoint.load_model` reads both); `handcrafted`
            [119, C], the table of the handcrafted vectors if it is not built in. A diverged model
            has only curves.
        parameters: number of trainable parameters.
    """

    history: History
    metrics: dict[str, float]
    scores: dict[str, float]
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
    return Outcome(history, {}, {}, split.sizes, curves, parameters)


def evaluate(
    trained: Trained,
    data: GraphSource,
    dataset: Dataset,
    split: Split,
    kind: Kind,
    scaler: Scaler,
    mixing: Mixing,
) -> Outcome:
    """Evaluates a model with its best-validation weights; the only use of the test part."""
    outcome = not_evaluated(trained, split)
    if outcome.history.diverged:
        return outcome

    def said(rows: np.ndarray) -> np.ndarray:
        outputs = predictions(trained.model, data, torch.from_numpy(rows))[0]
        values = kind.value(outputs.double().cpu().numpy(), scaler)
        return allowed(kind, values, dataset.graphs, rows)

    arrays = dict(outcome.arrays)
    true = dataset.targets_of(split.test)
    trivial = np.broadcast_to(kind.trivial(dataset.targets_of(split.train)), true.shape)
    errors = {"dummy": kind.metrics(trivial, true, scaler)[kind.metric]}
    for part, rows in (("train", split.train), ("val", split.validation), ("test", split.test)):
        value = said(rows)
        scores = kind.metrics(value, dataset.targets_of(rows), scaler)
        errors[part] = scores[kind.metric]
        if part != "train":
            name = "validation" if part == "val" else part
            arrays[f"predictions/{name}/row"] = rows
            arrays[f"predictions/{name}/value"] = value
            if dataset.target_ptr is not None:
                sizes = np.diff(dataset.target_ptr)[rows]
                arrays[f"predictions/{name}/ptr"] = np.concatenate([[0], np.cumsum(sizes)])
    arrays["scaler/mean"] = np.atleast_1d(scaler.mean)
    arrays["scaler/scale"] = np.atleast_1d(scaler.scale)
    arrays |= _element_vectors(trained, data, split, mixing)
    arrays |= {
        f"weights/{name}": value[0].cpu().numpy()
        for name, value in trained.model.state_dict().items()
    }
    metrics = _named(errors, kind)
    if mixing.handcrafted > 0 and mixing.learned > 0:
        metrics |= errors_without(
            cast(HybridEmbedding, trained.model.embedding),
            lambda: kind.metrics(said(split.test), true, scaler)[kind.metric],
            torch.from_numpy(arrays["elements/numbers"]).long(),
            trained.history.member.seed,
        )
    return replace(outcome, metrics=metrics, scores=scores, arrays=arrays)


def _named(errors: Mapping[str, float], kind: Kind) -> dict[str, float]:
    """Errors by part as the ledger names them."""
    found = {f"{part}_error": error for part, error in errors.items()}
    if kind.metric == MEAN_ABSOLUTE_ERROR:
        found |= {f"{part}_mae": error for part, error in errors.items()}
    return found


def _count(batch: Batch, crystals: Tensor) -> None:
    """Adds to the numbers of crystals, [119], those of a batch that have each element."""
    pairs = torch.unique(torch.stack([batch.node_crystal.cpu(), batch.z.cpu()]), dim=1)
    crystals.index_add_(0, pairs[1], torch.ones_like(pairs[1]))


def element_counts(data: GraphSource, rows: np.ndarray) -> Tensor:
    """[119] int64: of the crystals `rows`, those that have each element, by atomic number."""
    crystals = torch.zeros(MAX_Z + 1, dtype=torch.int64)
    for batch in data.batches(torch.from_numpy(rows), EVALUATION_BATCH):
        _count(batch, crystals)
    return crystals


def ratios(started: HybridEmbedding, trained: HybridEmbedding, seen: Tensor) -> dict[str, float]:
    """log10(‖w_L l‖/‖w_H h‖) of a model before and after its training; without infinite ones.

    Args:
        seen: atomic numbers of the elements in the training part.
    """
    both = {"log_ratio_start": started, "log_ratio_end": trained}
    found = {name: float(embedding.log_ratio(seen)) for name, embedding in both.items()}
    return {name: ratio for name, ratio in found.items() if math.isfinite(ratio)}


@torch.no_grad()
def _element_vectors(
    trained: Trained, data: GraphSource, split: Split, mixing: Mixing
) -> dict[str, np.ndarray]:
    """Vectors of the elements in the training part: the embedding's, and those of each layer.

    A layer's vector of an element is the mean of its node features over the atoms of that element.
    """
    model = trained.model.eval()
    rows = torch.from_numpy(split.train)
    crystals = torch.zeros(MAX_Z + 1, dtype=torch.int64)
    atoms: Tensor = torch.zeros(MAX_Z + 1, dtype=torch.float64)
    totals: list[Tensor] = []
    for batch in data.batches(rows, EVALUATION_BATCH):
        z = batch.z.cpu()
        weight = batch.multiplicity.cpu().double()
        _count(batch, crystals)
        atoms.index_add_(0, z, weight)
        for layer, features in enumerate(model.node_layers(batch)):  # type: ignore[operator]
            if layer == len(totals):
                totals.append(torch.zeros(MAX_Z + 1, features.shape[2], dtype=torch.float64))
            totals[layer].index_add_(0, z, features[0].cpu().double() * weight[:, None])
    seen = torch.nonzero(crystals).squeeze(1)
    vectors = {
        f"elements/layer{layer + 1}": (total[seen] / atoms[seen, None]).float().numpy()
        for layer, total in enumerate(totals)
    }
    h, l = model.embedding.channels()  # type: ignore[union-attr, operator]  # noqa: E741
    vectors["elements/mixed"] = model.embedding()[0].cpu()[seen].numpy()  # type: ignore[operator]
    if mixing.handcrafted > 0:
        vectors["elements/h"] = h[0].cpu()[seen].numpy()
    if mixing.learned > 0:
        vectors["elements/l"] = l[0].cpu()[seen].numpy()
    vectors["elements/numbers"] = seen.numpy().astype(np.uint8)
    vectors["elements/counts"] = crystals[seen].numpy()
    return vectors
