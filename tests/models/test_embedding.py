"""The mixing of handcrafted and learned element vectors."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.elements import descriptor
from trainables.models.backbones import BACKBONES
from trainables.models.embedding import HybridEmbedding
from trainables.models.mixing import Mixing
from trainables.testing.crystals import named_crystals
from trainables.testing.samples import batch_of, graphs_of, model_of

LABELS = ("H", "-4", "-2", "0", "2", "4", "L")


def embedding(labels: tuple[str, ...] = LABELS, dim: int = 8) -> HybridEmbedding:
    generators = [torch.Generator().manual_seed(k) for k in range(len(labels))]
    table = torch.from_numpy(descriptor.load())
    return HybridEmbedding(generators, [Mixing(label) for label in labels], table, dim).double()


def test_the_ends_are_exact() -> None:
    assert (Mixing("H").handcrafted, Mixing("H").learned) == (1.0, 0.0)
    assert (Mixing("L").handcrafted, Mixing("L").learned) == (0.0, 1.0)
    assert (Mixing("0").handcrafted, Mixing("0").learned) == (0.5, 0.5)


@pytest.mark.parametrize("gamma", [-4, -2, -0.5, 0, 1, 2, 4])
def test_weights_of_gamma(gamma: float) -> None:
    mixing = Mixing(f"{gamma:g}")
    assert math.isclose(mixing.learned, 10**gamma / (1 + 10**gamma), rel_tol=1e-14)
    assert math.isclose(mixing.handcrafted + mixing.learned, 1, rel_tol=1e-14)
    assert math.isclose(math.log10(mixing.learned / mixing.handcrafted), gamma, abs_tol=1e-12)
    mirrored = Mixing(f"{-gamma:g}")
    assert mixing.learned == mirrored.handcrafted


def test_a_label_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="half"):
        _ = Mixing("half").learned


def test_mixed_is_the_weighted_sum() -> None:
    layer = embedding()
    h, l = layer.channels()  # noqa: E741
    mixed = layer()
    assert mixed.shape == (len(LABELS), 119, 8)
    for k, label in enumerate(LABELS):
        weights = Mixing(label).handcrafted, Mixing(label).learned
        wanted = weights[0] * h[k] + weights[1] * l[k]
        torch.testing.assert_close(mixed[k], wanted, rtol=1e-6, atol=1e-6)  # weights are float32
    assert torch.equal(mixed[0], h[0])
    assert torch.equal(mixed[-1], l[-1])


def test_handcrafted_is_a_projection_of_the_descriptor() -> None:
    layer = embedding()
    table = torch.from_numpy(descriptor.load()).double()
    h, l = layer.channels()  # noqa: E741
    assert layer.projection.bias is not None
    for k in range(len(LABELS)):
        wanted = table @ layer.projection.weight[k] + layer.projection.bias[k]
        torch.testing.assert_close(h[k], wanted)
    assert torch.equal(l, layer.table)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_channel_of_weight_zero_gets_no_gradient(backbone: str) -> None:
    model = model_of(backbone, ["H", "0", "L"])
    batch = batch_of(graphs_of(list(named_crystals().values()), backbone))
    (model(batch) - batch.target).square().sum().backward()
    learned = model.embedding.table.grad.abs().amax(dim=(1, 2))
    handcrafted = model.embedding.projection.weight.grad.abs().amax(dim=(1, 2))
    assert (learned > 0).tolist() == [False, True, True]
    assert (handcrafted > 0).tolist() == [True, True, False]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_only_elements_of_the_batch_are_learned(backbone: str) -> None:
    model = model_of(backbone, ["L"])
    batch = batch_of(graphs_of([named_crystals()["NaCl"], named_crystals()["Cu"]], backbone))
    (model(batch) - batch.target).square().sum().backward()
    moved = model.embedding.table.grad[0].abs().amax(dim=1)
    assert torch.nonzero(moved).squeeze(1).tolist() == [11, 17, 29]
