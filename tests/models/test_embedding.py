"""The mixing of handcrafted and learned element vectors."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.elements import descriptor
from trainables.models.backbones import BACKBONES
from trainables.models.embedding import HybridEmbedding
from trainables.models.mixing import BALANCED, Mixing
from trainables.models.recipe import ElementInit
from trainables.testing.crystals import named_crystals
from trainables.testing.samples import batch_of, built, model_of
from trainables.training.ablation import replacements

LABELS = ("H", "-4", "-2", "0", "2", "4", "L")


def embedding(
    labels: tuple[str, ...] = LABELS,
    dim: int = 8,
    start: ElementInit = "normal",
    counts: torch.Tensor | None = None,
) -> HybridEmbedding:
    generators = [torch.Generator().manual_seed(k) for k in range(len(labels))]
    mixings, table = [Mixing(label) for label in labels], torch.from_numpy(descriptor.load())
    return HybridEmbedding(generators, mixings, table, dim, start=start, counts=counts).double()


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
    batch = batch_of(built(list(named_crystals().values()), BACKBONES[backbone].representation))
    (model(batch) - batch.target).square().sum().backward()
    learned = model.embedding.table.grad.abs().amax(dim=(1, 2))
    handcrafted = model.embedding.projection.weight.grad.abs().amax(dim=(1, 2))
    assert (learned > 0).tolist() == [False, True, True]
    assert (handcrafted > 0).tolist() == [True, True, False]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_only_elements_of_the_batch_are_learned(backbone: str) -> None:
    model = model_of(backbone, ["L"])
    crystals = [named_crystals()["NaCl"], named_crystals()["Cu"]]
    batch = batch_of(built(crystals, BACKBONES[backbone].representation))
    (model(batch) - batch.target).square().sum().backward()
    moved = model.embedding.table.grad[0].abs().amax(dim=1)
    assert torch.nonzero(moved).squeeze(1).tolist() == [11, 17, 29]


@pytest.mark.parametrize("text", ["AUTO", "auto ", "Residual", "h", "-0.80"])
def test_words_and_numbers_have_one_spelling(text: str) -> None:
    label = Mixing.parse(text).label
    assert label == text.strip().replace("AUTO", "auto").replace("Residual", "residual").replace(
        "h", "H"
    ).replace("-0.80", "-0.8")
    assert Mixing.parse(label).label == label


def test_each_start_uses_the_same_draws() -> None:
    """Whatever is drawn next, the network's weights, is the same with every start."""
    normal = embedding()
    for start, largest in (("zero", 0.0), ("uniform", 0.05), ("frozen", 10.0)):
        other = embedding(start=start)
        assert torch.equal(other.projection.weight, normal.projection.weight)
        assert float(other.table.abs().max()) <= largest
    assert torch.equal(embedding(start="frozen").table, normal.table)
    spread = embedding(start="uniform").table.flatten()
    assert float(spread.std()) == pytest.approx(0.05 / 3**0.5, rel=0.02)


def test_a_frozen_table_is_no_parameter() -> None:
    frozen = embedding(start="frozen")
    assert "table" not in dict(frozen.named_parameters())
    assert frozen.state_dict().keys() == embedding().state_dict().keys()


def test_a_residual_trusts_what_it_often_sees() -> None:
    counts = torch.arange(119)
    layer = embedding(("residual", "0"), counts=counts)
    assert not layer.table[0].any()
    assert layer.table[1].any()
    with torch.no_grad():
        layer.table[0] = 1
    h, _ = layer.channels()
    added = (layer() - h)[0]
    torch.testing.assert_close(added[:, 0], counts / (counts + 10.0), check_dtype=False)
    torch.testing.assert_close(layer()[1], embedding(("residual", "0"))()[1])


def test_auto_starts_balanced_and_learns_each_element() -> None:
    layer = embedding(("auto", "0"))
    fixed = embedding((f"{BALANCED}", "0"))
    torch.testing.assert_close(layer(), fixed(), rtol=1e-6, atol=1e-6)
    layer()[:, 26].sum().backward()
    assert layer.gate.grad is not None
    assert torch.nonzero(layer.gate.grad).tolist() == [[0, 26, 0]]
    with torch.no_grad():
        layer.gate[0, 26] = 100.0
    assert torch.equal(layer()[0, 26], layer.table[0, 26])


def test_the_ratio_is_that_of_the_mixed_channels() -> None:
    seen = torch.tensor([8, 26])
    layer = embedding(("-2", "H", "L"))
    h, l = (channel[0, seen].norm() for channel in layer.channels())  # noqa: E741
    ratio = layer.log_ratio(seen)
    assert float(ratio[0]) == pytest.approx(-2 + math.log10(l / h), abs=1e-5)
    assert ratio[1:].tolist() == [-math.inf, math.inf]


def test_the_balanced_mixing_is_balanced() -> None:
    """γ shifts by 0.8 or so at the start from N(0, 1), at every dimension."""
    seen = torch.arange(1, 95)
    for dim in (8, 64):
        ratios = embedding((f"{BALANCED}",) * 20, dim).log_ratio(seen)
        assert abs(float(ratios.mean())) < 0.1


def test_vectors_of_one_channel_are_replaced_for_a_while() -> None:
    own = embedding(("0", "-1"))
    (h, l), mixed = own.channels(), own()  # noqa: E741
    seen = torch.tensor([3, 8, 26, 92])
    (_, mean), (_, permuted) = replacements(119, seen, seed=1)
    w_h, w_l = own.weights()
    with own.replaced("h", mean):
        known = h.clone()
        known[:, seen] = h[:, seen].mean(dim=1, keepdim=True)
        torch.testing.assert_close(own(), w_h * known + w_l * l)
    with own.replaced("l", permuted):
        learned = own.channels()[1].clone()
    assert torch.equal(own(), mixed)
    others = [row for row in range(119) if row not in seen]
    assert torch.equal(learned[:, others], l[:, others])
    assert not (learned[:, seen] == l[:, seen]).all(dim=2).any()
    rows = {tuple(row.tolist()) for row in l[0, seen]}
    assert {tuple(row.tolist()) for row in learned[0, seen]} == rows
