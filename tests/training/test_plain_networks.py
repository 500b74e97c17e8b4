"""A plain network with batch norms, tied weights and an average trains in arrays like any other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables.models.backbones import BACKBONES
from trainables.models.options import NetworkOptions
from trainables.models.recipe import Recipe
from trainables.models.stacking import Backbone
from trainables.representations.graph_batch import GraphBatch
from trainables.testing.samples import made_up_dataset
from trainables.training.fit import ArrayFit
from trainables.training.specification import ArraySpec

RECIPE = Recipe(
    name="tuned", optimiser="sgd", lr=0.05, averaging=0.9, epochs=6, patience=2, batch_size=8
)


class Normed(Backbone):
    """Batch norms over nodes; the second layer has the first one's weight."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.width = dim
        self.first, self.last = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.last.weight = self.first.weight
        self.norms = nn.ModuleList(nn.BatchNorm1d(dim) for _ in range(2))

    def forward(self, elements_zd: Tensor, batch: GraphBatch) -> list[Tensor]:
        x_nd = self.norms[0](self.first(elements_zd[batch.z])).tanh()
        message_nd = torch.zeros_like(x_nd).index_add(0, batch.dst, x_nd[batch.src])
        return [x_nd, self.norms[1](self.last(x_nd + message_nd))]


@pytest.fixture(autouse=True)
def _entered(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dataclasses.replace(
        BACKBONES["megnet"],
        name="normed",
        model=f"{__name__}:Normed",
        stacking="vmap",
        options=NetworkOptions,
    )
    monkeypatch.setitem(BACKBONES, "normed", spec)


def started(labels: str) -> ArrayFit:
    mixings = {label: label for label in labels.split()}
    spec = ArraySpec(backbone="normed", dim=4, mixings=mixings, fold=0, seed=0, recipe=RECIPE)
    return ArrayFit(spec, made_up_dataset("megnet", 40))


def ended(fit: ArrayFit) -> dict[str, dict[str, np.ndarray]]:
    found = {}
    while not fit.finished:
        for outcome in fit.advance():
            found[outcome.history.member.label] = outcome.arrays
    return found


def test_each_member_gets_what_it_would_get_alone() -> None:
    together = ended(started("H 0 L"))
    for label, arrays in together.items():
        (alone,) = ended(started(label)).values()
        assert arrays.keys() == alone.keys()
        for name, value in arrays.items():
            np.testing.assert_allclose(value, alone[name], rtol=2e-4, atol=2e-5, err_msg=name)
    steps = "weights/backbone.module.norms.0.num_batches_tracked"
    assert arrays[steps].dtype == np.int64 and arrays[steps] > 0
    tied = ("weights/backbone.module.first.weight", "weights/backbone.module.last.weight")
    assert np.array_equal(*(arrays[name] for name in tied))


def test_it_goes_on_to_the_bit_also_when_members_have_left() -> None:
    fit = started("H 0 L")
    list(fit.advance())
    fit.training._select([0, 2])
    content = fit.save()
    again = started("H L")
    again.load(content)
    found = ended(again)
    for label, arrays in ended(fit).items():
        for name, value in arrays.items():
            assert np.array_equal(value, found[label][name]), (label, name)
