"""Trains one array, from a data set to the outcomes of its members. Needs no Ray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from trainables.elements import handcrafted
from trainables.models.backbones import BACKBONES
from trainables.models.embedding import HybridEmbedding
from trainables.models.layers import Generators
from trainables.models.mixing import RESIDUAL, Mixing
from trainables.models.options import NetworkOptions
from trainables.models.recipe import ElementInit
from trainables.representations.columns import column_of
from trainables.representations.dataset import Dataset, split_dataset
from trainables.representations.source import open_source
from trainables.targets.base import NUMBER, Target
from trainables.targets.kinds import kind_of
from trainables.training.array import ArrayTraining, Member, Trained
from trainables.training.fitted import FittedArray
from trainables.training.outcome import Outcome, element_counts, evaluate, ratios
from trainables.training.problem import GraphProblem
from trainables.training.specification import ArraySpec


def build_embedding(
    generators: Generators,
    mixings: Sequence[Mixing],
    dim: int,
    start: ElementInit = "normal",
    counts: Tensor | None = None,
    table: np.ndarray | None = None,
) -> HybridEmbedding:
    """Untrained vectors of the elements; its draws are the first of a model's.

    Args:
        counts: as for `HybridEmbedding`.
        table: [119, C], handcrafted; None for the 92 columns.
    """
    columns = handcrafted.table_of(handcrafted.CGCNN92) if table is None else table
    return HybridEmbedding(
        generators, mixings, torch.from_numpy(columns), dim, start=start, counts=counts
    )


def build_model(
    backbone: str,
    generators: Generators,
    embedding: HybridEmbedding,
    options: NetworkOptions | None = None,
    target: Target = NUMBER,
) -> nn.Module:
    """A stacked, untrained model.

    Args:
        embedding: made with the same generators.
        options: of the network; None for the defaults.
        target: determines the shape of the outputs.
    """
    entry = BACKBONES[backbone]
    given = vars(options or entry.options())
    if target.shape:
        given = {**given, "outputs": math.prod(target.shape)}
    if target.kind == "site":
        given = {**given, "per_site": True}
    model: nn.Module = entry.load()(generators, embedding, **given)
    return model


class ArrayFit(FittedArray):
    """Graph networks in training.

    Args:
        spec: the array.
        dataset: featurised for the spec's backbone.
        device: "cpu" or "cuda".
    """

    def __init__(self, spec: ArraySpec, dataset: Dataset, device: str = "cpu") -> None:
        self.spec, self.dataset = spec, dataset
        self.split = split_dataset(dataset, spec.fold, spec.seed, spec.condition)
        self._table = handcrafted.table_of(spec.recipe.handcrafted, spec.table)
        self.kind = kind_of(spec.target)
        self.scaler = self.kind.scaler(dataset.targets_of(self.split.train))
        standard = self.scaler.standardise(dataset.target)
        self.data = open_source(
            dataset.graphs, standard, device, column_of(self.kind), dataset.target_ptr
        )
        self._counts = (
            element_counts(self.data, self.split.train) if RESIDUAL in spec.mixings else None
        )
        # Common random numbers: the mixings of one fold start from the same draws, so that a
        # difference between them is due to the mixing.
        initial, order = np.random.SeedSequence([spec.seed, spec.fold]).generate_state(2)
        self.training = ArrayTraining(
            [
                Member(key=key, label=label, seed=int(initial))
                for label, key in spec.mixings.items()
            ],
            self._build,
            GraphProblem(
                self.data,
                self.split,
                spec.recipe,
                kind=self.kind,
                scaler=self.scaler,
                order_seed=int(order),
                validated=dataset.places_of(self.split.validation),
            ),
            spec.recipe,
        )

    def _embedding(self, generators: Generators, members: Sequence[Member]) -> HybridEmbedding:
        mixings = [Mixing(member.label) for member in members]
        start = self.spec.recipe.element_init
        return build_embedding(generators, mixings, self.spec.dim, start, self._counts, self._table)

    def _build(self, generators: Generators, members: Sequence[Member]) -> nn.Module:
        embedding = self._embedding(generators, members)
        return build_model(
            self.spec.backbone, generators, embedding, self.spec.options, self.spec.target
        )

    def _evaluate(self, trained: Trained) -> Outcome:
        outcome = evaluate(trained, self.data, self.dataset, self.split, self.kind, self.scaler)
        if outcome.history.diverged:
            return outcome
        member = trained.history.member
        started = self._embedding([torch.Generator().manual_seed(member.seed)], [member])
        embedding = cast(HybridEmbedding, trained.model.embedding)
        seen = torch.from_numpy(outcome.arrays["elements/numbers"]).long()
        arrays = outcome.arrays
        if self.spec.table is not None:
            arrays = arrays | {"handcrafted": self.spec.table}
        metrics = outcome.metrics | ratios(started, embedding, seen)
        return replace(outcome, metrics=metrics, arrays=arrays)


def fit(spec: ArraySpec, dataset: Dataset, device: str = "cpu") -> list[Outcome]:
    """Trains a whole array; outcomes in the order in which the members finished."""
    training = ArrayFit(spec, dataset, device)
    outcomes: list[Outcome] = []
    while not training.finished:
        outcomes.extend(training.advance())
    return outcomes
