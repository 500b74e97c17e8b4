"""Recorded models that predict together: those that are alike are stacked into one array.

Legend: M models, B crystals, N nodes, A features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from trainables.crystals.symbols import MAX_Z
from trainables.models.backbones import BACKBONES
from trainables.models.mixing import Mixing
from trainables.representations.allowed import allowed
from trainables.representations.batches import DeviceColumns
from trainables.representations.columns import Columns
from trainables.representations.graph import CrystalGraph
from trainables.targets.base import Scaler, Target
from trainables.targets.kinds import kind_of
from trainables.training.checkpoint import form, load_model, stacked
from trainables.training.problem import EVALUATION_BATCH
from trainables.training.specification import ModelSpec

# Nodes and edges of a batch times models: some hundred MB of features, at widths of 64.
MOST_ROWS = 500_000


@dataclass(frozen=True)
class Stack:
    """Models of one array.

    Attributes:
        model: the array, in evaluation mode.
        keys: of its models, in order.
        scalers: of each.
        representation: of a crystal.
    """

    model: nn.Module
    keys: tuple[str, ...]
    scalers: tuple[Scaler, ...]
    representation: CrystalGraph


@dataclass(frozen=True)
class Panel:
    """M models that predict one target.

    Attributes:
        target: what they predict.
        rows: of the ledger, by key.
        stacks: the arrays; each model is in one.
        knows: [119] bool by key: by atomic number, the elements whose vector is no accident of the
            start.
    """

    target: Target
    rows: Mapping[str, dict[str, Any]]
    stacks: tuple[Stack, ...] = field(repr=False)
    knows: Mapping[str, np.ndarray] = field(repr=False)

    @classmethod
    def load(cls, paths: Iterable[Path]) -> Self:
        """Loads and verifies records, as `load_model` does.

        Raises:
            CheckpointError: one is damaged, or no record.
            ValueError: they predict different targets.
        """
        loaded = sorted(map(load_model, paths), key=lambda pair: str(pair[1]["key"]))
        specs = {row["key"]: ModelSpec.read(row["spec"]) for _, row in loaded}
        targets = {spec.target for spec in specs.values()}
        if len(targets) != 1:
            raise ValueError(f"models of {len(targets)} targets")
        alike: dict[Any, list[tuple[nn.Module, dict[str, Any]]]] = {}
        for model, row in loaded:
            alike.setdefault(form(model, row), []).append((model, row))
        return cls(
            target=targets.pop(),
            rows={row["key"]: row for _, row in loaded},
            stacks=tuple(_stack(pairs) for pairs in alike.values()),
            knows={row["key"]: _known(specs[row["key"]], row) for _, row in loaded},
        )

    @property
    def representations(self) -> list[CrystalGraph]:
        """What the models see of a crystal; each once."""
        return list(dict.fromkeys(stack.representation for stack in self.stacks))

    @torch.no_grad()
    def predict(self, graphs: Mapping[str, Columns]) -> dict[str, np.ndarray]:
        """Predictions [B, …] of each model by key, in the target's unit or as probabilities.

        Args:
            graphs: by name of the representation.
        """
        kind, found = kind_of(self.target), {}
        for stack in self.stacks:
            own = graphs[stack.representation.name]
            data, rows = _on_host(own), np.arange(len(own))
            said = [stack.model(batch) for batch in _batches(data, len(stack.keys))]
            outputs = torch.cat(said, dim=1).double().numpy() if said else None
            for place, (key, scaler) in enumerate(zip(stack.keys, stack.scalers, strict=True)):
                empty = np.zeros((0, *self.target.shape))
                if outputs is None:
                    found[key] = empty
                    continue
                found[key] = allowed(kind, kind.value(outputs[place], scaler), own, rows)
        return found

    @torch.no_grad()
    def features(self, graphs: Mapping[str, Columns], keys: Sequence[str]) -> dict[str, np.ndarray]:
        """What some models see in crystals, [B, A] by key: the mean of the last layer's nodes.

        Args:
            graphs: as of `predict`.
            keys: of models, in whatever array.
        """
        found = {}
        for stack in self.stacks:
            wanted = [place for place, key in enumerate(stack.keys) if key in keys]
            if not wanted:
                continue
            data, parts = _on_host(graphs[stack.representation.name]), []
            for batch in _batches(data, len(stack.keys)):
                nodes = stack.model.node_layers(batch)[-1][wanted]  # type: ignore[operator]
                weight = batch.multiplicity[:, None]
                shape = len(wanted), batch.crystals, nodes.shape[2]
                total = nodes.new_zeros(shape).index_add_(1, batch.node_crystal, nodes * weight)
                atoms = weight.new_zeros(batch.crystals, 1)
                atoms.index_add_(0, batch.node_crystal, weight)
                parts.append((total / atoms).numpy())
            joined = np.concatenate(parts, axis=1) if parts else None
            for place, member in enumerate(wanted):
                if joined is not None:
                    found[stack.keys[member]] = joined[place]
        return found


def _stack(pairs: Sequence[tuple[nn.Module, dict[str, Any]]]) -> Stack:
    models, rows = zip(*pairs, strict=True)
    spec = ModelSpec.read(rows[0]["spec"])
    return Stack(
        model=stacked(models, rows),
        keys=tuple(row["key"] for row in rows),
        scalers=tuple(
            Scaler(mean=np.array(row["target_mean"]), scale=np.array(row["target_scale"]), unit=1.0)
            for row in rows
        ),
        representation=BACKBONES[spec.backbone].representation,
    )


def _known(spec: ModelSpec, row: Mapping[str, Any]) -> np.ndarray:
    """[119] bool: the elements of which a model can say something.

    An element that no training crystal had keeps the learned vector that it started with. That is
    harmless where there is none, or where it is zero and the handcrafted one remains.
    """
    mixing = Mixing(spec.mixing)
    harmless = mixing.learned == 0 or (
        mixing.has_handcrafted and (not mixing.has_start or spec.recipe.element_init == "zero")
    )
    known = np.full(MAX_Z + 1, harmless)
    known[row["elements"]] = True
    return known


def _on_host(graphs: Columns) -> DeviceColumns:
    return DeviceColumns.load(graphs, np.zeros(len(graphs)))


def _batches(data: DeviceColumns, models: int) -> Iterator[Any]:
    """Batches whose rows, for all models, fit into memory; at least a crystal each."""
    rows = models * data.sizes.sum(axis=1, dtype=np.int64)
    start = 0
    while start < len(data):
        held = np.cumsum(rows[start : start + EVALUATION_BATCH])
        end = start + max(1, int((held <= MOST_ROWS).sum()))
        yield data.take(torch.arange(start, end))
        start = end
