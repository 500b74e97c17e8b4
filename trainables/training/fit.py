"""Trains one array, from a data set to the outcomes of its members. Needs no Ray."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from trainables.elements import descriptor
from trainables.models.backbones import BACKBONES
from trainables.models.layers import Generators
from trainables.models.mixing import Mixing
from trainables.models.options import NetworkOptions
from trainables.representations.columns import column_of
from trainables.representations.dataset import Dataset, split_dataset
from trainables.representations.source import open_source
from trainables.targets.base import NUMBER, Target
from trainables.targets.kinds import kind_of
from trainables.training.array import ArrayTraining, Member, Trained
from trainables.training.fitted import FittedArray
from trainables.training.outcome import Outcome, evaluate
from trainables.training.problem import GraphProblem
from trainables.training.specification import ArraySpec


def build_model(
    backbone: str,
    generators: Generators,
    mixings: Sequence[Mixing],
    dim: int,
    options: NetworkOptions | None = None,
    target: Target = NUMBER,
) -> nn.Module:
    """A stacked, untrained model.

    Args:
        options: of the network; None for the defaults.
        target: determines the shape of the outputs.
    """
    table = torch.from_numpy(descriptor.load())
    entry = BACKBONES[backbone]
    given = vars(options or entry.options())
    if target.shape:
        given = {**given, "outputs": math.prod(target.shape)}
    if target.kind == "site":
        given = {**given, "per_site": True}
    model: nn.Module = entry.load()(generators, mixings, table, dim, **given)
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
        self.split = split_dataset(dataset, spec.fold, spec.seed)
        self.kind = kind_of(spec.target)
        self.scaler = self.kind.scaler(dataset.targets_of(self.split.train))
        standard = self.scaler.standardise(dataset.target)
        self.data = open_source(
            dataset.graphs, standard, device, column_of(self.kind), dataset.target_ptr
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

    def _build(self, generators: Generators, members: Sequence[Member]) -> nn.Module:
        spec, mixings = self.spec, [Mixing(member.label) for member in members]
        return build_model(spec.backbone, generators, mixings, spec.dim, spec.options, spec.target)

    def _evaluate(self, trained: Trained) -> Outcome:
        return evaluate(trained, self.data, self.dataset, self.split, self.kind, self.scaler)


def fit(spec: ArraySpec, dataset: Dataset, device: str = "cpu") -> list[Outcome]:
    """Trains a whole array; outcomes in the order in which the members finished."""
    training = ArrayFit(spec, dataset, device)
    outcomes: list[Outcome] = []
    while not training.finished:
        outcomes.extend(training.advance())
    return outcomes
