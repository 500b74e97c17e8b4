"""The models of the densities of states: their keys, their arrays, the columns of their records."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from orchestrator.dos.flags import DosOptions
from orchestrator.training.members import OUTCOME, MembersArray
from trainables.representations.densities import Densities
from trainables.targets.base import Target
from trainables.training.density_spec import (
    DENSITY_VERSION,
    NETWORKS,
    DensitySpec,
    EnsembleSpec,
    members_of,
)

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("key", "task", "network", "recipe")]
    + [("fold", pa.int64()), ("member", pa.int64()), ("seed", pa.int64()), ("share", pa.float64())]
    + [("status", pa.string())]
    + [(name, pa.float64()) for name in ("val_error", "test_error")]
    + OUTCOME
)
SHARES = (0.25, 0.5)  # of what a fold learns from, for the learning curve
WHOLE = 1.0


class DensityArray(MembersArray[DensitySpec]):
    """The ensemble of one fold."""

    @property
    def spec(self) -> EnsembleSpec:
        """See `TrainingArray`."""
        return EnsembleSpec(models=dict(self.models))

    @property
    def id(self) -> str:
        """See `TrainingArray`."""
        part = "" if self.first.share == WHOLE else f"/{self.first.share:.0%}"
        return f"{self.task}/fold{self.first.fold}{part}/{self.first.network}"

    @property
    def kind(self) -> str:
        """See `TrainingArray`."""
        return self.first.network

    def cost(self, dataset: Densities) -> float:
        """Edges times models times epochs."""
        edges = dataset.data.graphs.edges
        return float(edges * len(self.models) * self.epochs * self.first.share)

    def row(self, label: str) -> dict[str, Any]:
        """See `TrainingArray`."""
        model = self.models[label]
        return super().row(label) | {
            "network": model.network,
            "fold": model.fold,
            "member": model.member,
            "share": model.share,
        }

    @staticmethod
    def describe(row: Mapping[str, Any]) -> str:
        """Formats as "fold 3 member 1"."""
        return f"fold {row['fold']} member {row['member']}"


def arrays_of(options: DosOptions, task: str, densities: Densities) -> list[DensityArray]:
    """The ensembles of all folds; those of the learning curve last."""
    network = NETWORKS[options.recipe]
    width = options.width or network.options.width
    data = densities.fingerprint
    shares = (WHOLE, *SHARES) if options.curve else (WHOLE,)

    def ensemble(fold: int, share: float) -> DensityArray:
        first = DensitySpec(
            data=data,
            target=Target(
                name="density", unit=None, kind="spectrum", shape=(densities.window.points,)
            ),
            representation=network.representation,
            fold=fold,
            seed=options.seed,
            recipe=options.in_effect(network.recipe),
            training=DENSITY_VERSION,
            network=network.network,
            options=dataclasses.replace(network.options, width=width),
            window=densities.window,
            members=options.members,
            member=0,
            share=share,
            precision=64 if options.float64 else 32,
        )
        return DensityArray(task=task, models=members_of(first))

    return [ensemble(fold, share) for share in shares for fold in options.folds]
