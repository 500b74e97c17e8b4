"""The contract of a backbone, built in or of another package.

Legend: K models, B crystals, N nodes, A node width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables.crystals.crystal import Crystal
from trainables.models.backbones import BACKBONES, BackboneSpec
from trainables.testing.crystals import (
    in_cell,
    listed_anew,
    made_up,
    named_crystals,
    rotated,
    triclinic,
)
from trainables.testing.samples import batch_of, built, made_up_dataset, model_of, of_all_atoms
from trainables.training.fit import ArrayFit
from trainables.training.specification import ArraySpec

CRYSTALS = (*named_crystals().values(), *made_up(8), triclinic(5, 1), triclinic(6, 2))
MIXINGS = ("H", "auto", "residual")  # fixed weights, learned ones, and those of counts
CELLS: Mapping[str, Sequence[Sequence[int]]] = {
    "2x1x1": [[2, 0, 0], [0, 1, 0], [0, 0, 1]],
    "2x2x1": [[2, 0, 0], [0, 2, 0], [0, 0, 1]],
    "skewed": [[1, 1, 0], [0, 1, 0], [2, -1, 1]],
    "skewed and doubled": [[1, 1, 0], [-1, 1, 0], [0, 1, 1]],
}


class BackboneContract:
    """What every backbone has to fulfil; a subclass names its backbone.

    Attributes:
        spec: of the backbone, which need not be installed.
        cells: sums of the lattice vectors that describe the same crystal; fewer where the
            representation depends on the cell.
        exact_on_quotients: whether a quotient gives the output and the gradients of the graph of
            all atoms; not so with norms over nodes or edges that do not weigh them.
        sees_lengths: whether distances between atoms matter.
        tolerance: of outputs in double precision.
    """

    spec: ClassVar[BackboneSpec]
    cells: ClassVar[Mapping[str, Sequence[Sequence[int]]]] = CELLS
    exact_on_quotients: ClassVar[bool] = True
    sees_lengths: ClassVar[bool] = True
    tolerance: ClassVar[float] = 1e-10
    _model: ClassVar[nn.Module]

    @pytest.fixture(autouse=True)
    def _entered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(BACKBONES, self.spec.name, self.spec)

    # ------------------------------------------------------------------------------ the entry

    def test_the_entry_is_whole(self) -> None:
        """It has what the command line, the plan and the ensemble's reference ask of it."""
        assert self.spec.name.isidentifier() and self.spec.title
        assert {name: recipe.name for name, recipe in self.spec.recipes.items()} == {
            name: name for name in self.spec.recipes
        }
        assert "tuned" in self.spec.recipes
        assert min(self.spec.edge_cost) >= 0 < sum(self.spec.edge_cost)
        assert self.spec.reference.startswith("@")
        assert self.spec.options() == self.spec.options()

    def test_layers_are_node_features(self) -> None:
        """[K, N, A] after each, from which the vectors of elements are taken."""
        model = model_of(self.spec.name, MIXINGS)
        batch = self._batch(CRYSTALS)
        layers = model.node_layers(batch)  # type: ignore[operator]
        assert len(layers) >= 1
        assert all(layer.shape[:2] == (len(MIXINGS), batch.nodes) for layer in layers)
        assert all(layer.dim() == 3 and torch.isfinite(layer).all() for layer in layers)

    # --------------------------------------------------------------------------- invariance

    def test_order_of_atoms(self) -> None:
        """Does not matter."""
        self._demand_same([listed_anew(one, seed) for seed, one in enumerate(CRYSTALS)])

    def test_rotation(self) -> None:
        """Does not matter."""
        self._demand_same([rotated(one, seed) for seed, one in enumerate(CRYSTALS)])

    def test_mirror(self) -> None:
        """Does not matter."""
        mirrored = [1, 1, -1]
        self._demand_same([_of(one, lattice=one.lattice * mirrored) for one in CRYSTALS])

    def test_origin(self) -> None:
        """Does not matter."""
        shift = np.array([0.3, -0.7, 1.9])
        self._demand_same([_of(one, frac=one.frac + shift) for one in CRYSTALS])

    def test_choice_of_the_cell(self) -> None:
        """Does not matter."""
        for cell in self.cells.values():
            self._demand_same([in_cell(one, cell) for one in CRYSTALS])

    def test_crystals_beside_it_in_the_batch(self) -> None:
        """Do not matter once the model is trained."""
        together = self._predicted(CRYSTALS)
        backwards = self._predicted(CRYSTALS[::-1]).flip(1)
        alone = torch.cat([self._predicted([one]) for one in CRYSTALS], dim=1)
        assert float((together - backwards).abs().max()) < self.tolerance
        assert float((together - alone).abs().max()) < self.tolerance

    def test_a_change_that_matters_is_seen(self) -> None:
        """Lengths, and elements."""
        stretched = [_of(one, lattice=one.lattice * 1.01) for one in CRYSTALS]
        heavier = [_of(one, numbers=one.numbers + 1) for one in CRYSTALS]
        assert (self._change(stretched) > 1e-4) == self.sees_lengths
        assert self._change(heavier) > 1e-4

    def test_a_crystal_without_neighbours_has_a_number(self) -> None:
        """An atom in a large box."""
        lonely = _of(named_crystals()["isolated"], lattice=np.eye(3) * 100.0)
        assert torch.isfinite(model_of(self.spec.name).train()(self._batch([lonely] * 2))).all()

    # ----------------------------------------------------------------------------- quotients

    @pytest.mark.parametrize("steps", [0, 3], ids=["fresh", "after steps"])
    def test_a_quotient_is_the_graph_of_all_atoms(self, steps: int) -> None:
        """Same outputs in both modes, gradients, and running statistics."""
        kind = self.spec.representation
        if kind.keeps_atoms or not self.exact_on_quotients:
            return
        whole = of_all_atoms(CRYSTALS, kind)
        merged = built(CRYSTALS, kind)
        assert merged.edges < whole.edges / 2
        first, second = (
            _stepped(model_of(self.spec.name, MIXINGS), batch_of(whole), steps) for _ in range(2)
        )
        of_whole, of_merged = _observed(first, batch_of(whole)), _observed(second, batch_of(merged))
        far = {name: _far(value, of_merged[name]) for name, value in of_whole.items()}
        assert max(far.values()) < self.tolerance, far

    # -------------------------------------------------------------------------------- arrays

    def test_each_model_of_a_stack_is_what_it_is_alone(self) -> None:
        """Outputs and gradients; and its initial weights are those of its own generator."""
        batch = self._batch(CRYSTALS)
        together = model_of(self.spec.name, MIXINGS)
        state = {name: value.clone() for name, value in together.state_dict().items()}
        of_stack = _observed(together, batch)
        for k, label in enumerate(MIXINGS):
            alone = model_of(self.spec.name, [label])
            alone.load_state_dict({name: value[k : k + 1] for name, value in state.items()})
            for name, value in _observed(alone, batch).items():
                assert _far(value[0], of_stack[name][k]) < self.tolerance, (label, name)
        first = model_of(self.spec.name, MIXINGS[:1]).state_dict()
        assert all(torch.equal(value[:1], first[name]) for name, value in state.items())

    def test_every_parameter_learns(self) -> None:
        """In a batch of many crystals each weight tensor has a gradient."""
        model = model_of(self.spec.name, ["auto"]).train()
        (model(self._batch(CRYSTALS)) - 1).square().sum().backward()
        idle = [name for name, weight in model.named_parameters() if weight.grad is None]
        assert not idle

    def test_an_array_trains_each_model_as_alone(self) -> None:
        """Through the training loop, with early stops, averages and the best weights."""
        together = self._trained(MIXINGS)
        for label in MIXINGS:
            (alone,) = self._trained([label]).values()
            for name, value in together[label].items():
                np.testing.assert_allclose(
                    value, alone[name], rtol=1e-3, atol=1e-4, err_msg=f"{label}: {name}"
                )

    def test_an_interrupted_training_ends_with_the_same_bits(self) -> None:
        """Its snapshot holds all of its state."""
        whole = self._trained(MIXINGS)
        first = self._fit(MIXINGS)
        left = {one.history.member.label: one.arrays for one in first.advance()}
        again = self._fit(MIXINGS)
        again.load(first.save())
        for label, arrays in {**left, **_ended(again)}.items():
            for name, value in arrays.items():
                assert np.array_equal(value, whole[label][name]), (label, name)

    # ------------------------------------------------------------------------------ the means

    def _batch(self, crystals: Sequence[Crystal]) -> Any:
        return batch_of(built(crystals, self.spec.representation))

    @classmethod
    def _settled(cls) -> nn.Module:
        """A model that has learnt to tell the crystals apart; trained once for all tests."""
        if "_model" not in vars(cls):
            crystals = built(CRYSTALS, cls.spec.representation)
            cls._model = _stepped(model_of(cls.spec.name, ["0", "H"]), batch_of(crystals), 40)
        return cls._model.eval()

    def _predicted(self, crystals: Sequence[Crystal]) -> Tensor:
        model = self._settled()
        with torch.no_grad():
            predicted: Tensor = model(self._batch(crystals))
        return predicted

    def _change(self, changed: Sequence[Crystal]) -> float:
        before = self._predicted(CRYSTALS)
        assert float(before.std(dim=1).min()) > 0.01, "the model does not tell crystals apart"
        return float((self._predicted(changed) - before).abs().max())

    def _demand_same(self, changed: Sequence[Crystal]) -> None:
        assert self._change(changed) < self.tolerance

    def _fit(self, labels: Sequence[str]) -> ArrayFit:
        recipe = dataclasses.replace(self.spec.recipes["tuned"], epochs=3, batch_size=8)
        mixings = {label: label for label in labels}
        spec = ArraySpec(
            backbone=self.spec.name, dim=4, mixings=mixings, fold=0, seed=0, recipe=recipe
        )
        return ArrayFit(spec, made_up_dataset(self.spec.name, 40))

    def _trained(self, labels: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
        return _ended(self._fit(labels))


def _far(one: Tensor, other: Tensor) -> float:
    """The largest absolute difference; 0 of nothing."""
    return float((one.double() - other.double()).abs().amax()) if one.numel() else 0.0


def _of(crystal: Crystal, **changes: np.ndarray) -> Crystal:
    return dataclasses.replace(crystal, **changes)


def _ended(fit: ArrayFit) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of each model, by label, once all have finished."""
    found: dict[str, dict[str, np.ndarray]] = {}
    while not fit.finished:
        found |= {one.history.member.label: one.arrays for one in fit.advance()}
    return found


def _stepped(model: nn.Module, batch: Any, steps: int) -> nn.Module:
    """The model after some steps, with weights and statistics that are not the initial ones."""
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        (model(batch) - batch.target).abs().sum().backward()
        optimiser.step()
    return model


def _observed(model: nn.Module, batch: Any) -> dict[str, Tensor]:
    """All that a training depends on: outputs in both modes, gradients, running statistics."""
    model.train()
    model.zero_grad()
    output = model(batch)
    (output - batch.target).square().mean(dim=1).sum().backward()
    seen = {"train": output.detach()}
    seen |= {
        f"gradient of {name}": weight.grad.clone()
        for name, weight in model.named_parameters()
        if weight.grad is not None
    }
    persistent = model.state_dict().keys() - dict(model.named_parameters()).keys()
    seen |= {
        f"buffer {name}": buffer.clone()
        for name, buffer in model.named_buffers()
        if name in persistent
    }
    model.eval()
    with torch.no_grad():
        seen["evaluated"] = model(batch)
    return seen
