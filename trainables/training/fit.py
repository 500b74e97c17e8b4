"""Trains one array, from a data set to the outcomes of its members. Needs no Ray."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from trainables.elements import descriptor
from trainables.models.backbones import BACKBONES
from trainables.models.layers import Generators
from trainables.models.mixing import Mixing
from trainables.models.options import NetworkOptions
from trainables.representations.dataset import Dataset, split_dataset
from trainables.representations.source import open_source
from trainables.training.array import ArrayTraining, Member, Trained
from trainables.training.fitted import FittedArray
from trainables.training.outcome import Outcome, evaluate
from trainables.training.problem import GraphRegression, standardisation
from trainables.training.specification import ArraySpec


def build_model(
    backbone: str,
    generators: Generators,
    mixings: Sequence[Mixing],
    dim: int,
    options: NetworkOptions | None = None,
) -> nn.Module:
    """A stacked, untrained model.

    Args:
        options: of the network; None for the defaults.
    """
    table = torch.from_numpy(descriptor.load())
    entry = BACKBONES[backbone]
    given = vars(options or entry.options())
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
        self.mean, self.scale = standardisation(dataset.target[self.split.train])
        target = (dataset.target - self.mean) / self.scale
        self.data = open_source(dataset.graphs, target, device)
        # Common random numbers: the mixings of one fold start from the same draws, so that a
        # difference between them is due to the mixing.
        initial, order = np.random.SeedSequence([spec.seed, spec.fold]).generate_state(2)
        self.training = ArrayTraining(
            [
                Member(key=key, label=label, seed=int(initial))
                for label, key in spec.mixings.items()
            ],
            self._build,
            GraphRegression(
                self.data, self.split, spec.recipe, order_seed=int(order), scale=self.scale
            ),
            spec.recipe,
        )

    def _build(self, generators: Generators, members: Sequence[Member]) -> nn.Module:
        spec, mixings = self.spec, [Mixing(member.label) for member in members]
        return build_model(spec.backbone, generators, mixings, spec.dim, spec.options)

    def _evaluate(self, trained: Trained) -> Outcome:
        return evaluate(trained, self.data, self.dataset, self.split, self.mean, self.scale)


def fit(spec: ArraySpec, dataset: Dataset, device: str = "cpu") -> list[Outcome]:
    """Trains a whole array; outcomes in the order in which the members finished."""
    training = ArrayFit(spec, dataset, device)
    outcomes: list[Outcome] = []
    while not training.finished:
        outcomes.extend(training.advance())
    return outcomes
