"""Trains one array, from a data set to the outcomes of its members. Needs no Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from trainables.crystals.split import InnerFold, Split
from trainables.elements import handcrafted
from trainables.models.backbones import BACKBONES, BackboneSpec
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
from trainables.tensors.irreps import FORMS
from trainables.training.array import ArrayTraining, Member, Trained
from trainables.training.fitted import FittedArray
from trainables.training.inner_folds import InnerFoldsProblem, OwnPart
from trainables.training.outcome import Outcome, element_counts, evaluate, ratios
from trainables.training.problem import GraphProblem, Problem
from trainables.training.specification import ArraySpec, Variant


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
    model: nn.Module = entry.load()(
        generators, embedding, **given, **_head_of(entry, given, target)
    )
    return model


def _head_of(entry: BackboneSpec, options: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """The arguments of a stacked network that say what it predicts."""
    if (form := FORMS.get(target.kind)) is not None:
        directed = entry.oriented and options.get("l_max") != 0
        return {"form": form} if directed else {"outputs": form.isotropic}
    if target.kind == "site":
        return {"per_site": True}
    return {"outputs": math.prod(target.shape)} if target.shape else {}


class ArrayFit(FittedArray):
    """Graph networks in training.

    Args:
        spec: the array.
        dataset: featurised for the spec's backbone.
        device: "cpu" or "cuda".
    """

    def __init__(self, spec: ArraySpec, dataset: Dataset, device: str = "cpu") -> None:
        self.spec, self.dataset = spec, dataset
        self._table = handcrafted.table_of(spec.recipe.handcrafted, spec.table)
        self.kind = kind_of(spec.target)
        self.variants = {label: Variant.parse(label) for label in spec.mixings}
        self.split = self._split(0 if spec.inner_folds else None)
        if spec.inner_folds:
            self.split = self.split.undivided
        self._parts = {
            inner: self._part(inner)
            for inner in dict.fromkeys(one.inner_fold for one in self.variants.values())
        }
        self.scaler = self.kind.scaler(dataset.targets_of(self.split.train))
        standard = self.scaler.standardise(dataset.target)
        self.data = open_source(
            dataset.graphs, standard, device, column_of(self.kind), dataset.target_ptr
        )
        residual = RESIDUAL in {variant.mixing for variant in self.variants.values()}
        self._counts = {
            inner: element_counts(self.data, part.split.train) if residual else None
            for inner, part in self._parts.items()
        }
        members = [
            Member(key=key, label=label, seed=self._initial(self.variants[label]))
            for label, key in spec.mixings.items()
        ]
        self.training = ArrayTraining(members, self._build, self._problem(), spec.recipe)

    def _part(self, inner: int | None) -> OwnPart:
        """What the members of an inner fold learn from; None for the usual split."""
        split = self._split(inner)
        scaler = self.kind.scaler(self.dataset.targets_of(split.train))
        return OwnPart(split, scaler, self.dataset.places_of(split.validation))

    def _split(self, inner: int | None) -> Split:
        """The fold with an inner fold held back; None for the usual split."""
        spec = self.spec
        held = None if inner is None else InnerFold(inner, spec.inner_folds)
        return split_dataset(self.dataset, spec.fold, spec.seed, spec.condition, held)

    def _initial(self, variant: Variant) -> int:
        """Seed of the initial weights.

        Common random numbers: the mixings of one fold start from the same draws, so that a
        difference between them is due to the mixing. Inner folds start from draws of their own, as
        they are combined, and the more they differ, the more their mean gains.
        """
        inner = [] if variant.inner_fold is None else [variant.inner_fold]
        entropy = np.random.SeedSequence([self.spec.seed, self.spec.fold, *inner])
        return int(entropy.generate_state(2)[0])

    def _problem(self) -> Problem:
        spec = self.spec
        _, order = np.random.SeedSequence([spec.seed, spec.fold]).generate_state(2)
        same: dict[str, Any] = {
            "kind": self.kind, "scaler": self.scaler, "order_seed": int(order)
        }  # fmt: skip
        if not spec.inner_folds:
            validated = self._parts[None].validated
            return GraphProblem(self.data, self.split, spec.recipe, validated=validated, **same)
        held = [cast(int, variant.inner_fold) for variant in self.variants.values()]
        parts = {number: self._parts[number] for number in held}
        return InnerFoldsProblem(self.data, self.split, spec.recipe, parts=parts, held=held, **same)

    def _embedding(self, generators: Generators, members: Sequence[Member]) -> HybridEmbedding:
        variants = [self.variants[member.label] for member in members]
        counts = [self._counts[variant.inner_fold] for variant in variants]
        known = [count for count in counts if count is not None]
        return build_embedding(
            generators,
            [Mixing(variant.mixing) for variant in variants],
            self.spec.dim,
            self.spec.recipe.element_init,
            torch.stack(known) if known else None,
            self._table,
        )

    def _build(self, generators: Generators, members: Sequence[Member]) -> nn.Module:
        embedding = self._embedding(generators, members)
        return build_model(
            self.spec.backbone, generators, embedding, self.spec.options, self.spec.target
        )

    def _evaluate(self, trained: Trained) -> Outcome:
        member = trained.history.member
        variant = self.variants[member.label]
        part = self._parts[variant.inner_fold]
        outcome = evaluate(
            trained,
            self.data,
            self.dataset,
            part.split,
            self.kind,
            part.scaler,
            Mixing(variant.mixing),
        )
        if outcome.history.diverged:
            return outcome
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
