"""The stacked, weighted layers against the plain ones that they stand for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch_geometric.nn.aggr import Set2Set as PlainSet2Set

from trainables.kernels.ops import gather, scatter_sum
from trainables.models.cgcnn import GatedConvolution
from trainables.models.layers import (
    BatchNorm,
    GaussianBasis,
    Generators,
    GlorotLinear,
    Linear,
    Set2Set,
    scatter_mean,
)
from trainables.models.megnet import MEGNet, shifted_softplus
from trainables.testing.crystals import named_crystals
from trainables.testing.samples import batch_of, graphs_of, model_of

K, N, D, F = 3, 11, 5, 4
REPEATS = torch.tensor([1, 4, 2, 1, 1, 3, 6, 1, 2, 1, 1])
INDEX = torch.tensor([0, 0, 0, 1, 1, 1, 1, 3, 3, 3, 3])  # nothing belongs to 2 and 4


def generators(number: int = K) -> Generators:
    return [torch.Generator().manual_seed(k) for k in range(number)]


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("d_in", "d_out"), [(64, 64), (25, 64), (300, 20)])
def test_glorot_start(d_in: int, d_out: int) -> None:
    layer = GlorotLinear(generators(), d_in, d_out)
    bound = (6 / (d_in + d_out)) ** 0.5
    assert layer.bias is not None and not layer.bias.any()
    assert 0.98 * bound < layer.weight.abs().max() <= bound
    assert abs(layer.weight.std().item() / (bound / 3**0.5) - 1) < 0.05


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_linear_is_torchs(bias: bool, shared: bool) -> None:
    layer = Linear(generators(), D, F, bias=bias).double()
    x = rows(N, D) if shared else rows(K, N, D)
    out = layer(x)
    for k in range(K):
        plain = nn.Linear(D, F, bias=bias).double()
        plain.weight.data = layer.weight[k].T
        if layer.bias is not None:
            plain.bias.data = layer.bias[k, 0]
        close(out[k], plain(x if shared else x[k]))


def test_linear_starts_as_torchs() -> None:
    layer = Linear(generators(1), 16, 2000)
    plain = nn.Linear(16, 2000)
    assert layer.bias is not None
    for ours, theirs in ((layer.weight, plain.weight), (layer.bias, plain.bias)):
        assert ours.abs().max() <= 0.25  # 1/√16
        assert abs(ours.std() / theirs.std() - 1) < 0.05
        assert abs(ours.mean()) < 0.01


def written_out(x: Tensor) -> Tensor:
    return x.repeat_interleave(REPEATS, dim=0)


def test_batch_norm_is_torchs_on_rows_written_out() -> None:
    layer = BatchNorm(K, F).double()
    with torch.no_grad():
        layer.weight.copy_(rows(K, 1, F, seed=1))
        layer.bias.copy_(rows(K, 1, F, seed=2))
    plain = [nn.BatchNorm1d(F).double() for _ in range(K)]
    for k in range(K):
        plain[k].weight.data, plain[k].bias.data = layer.weight[k, 0].data, layer.bias[k, 0].data
    for step in range(3):  # the running statistics build up
        x = rows(K, N, F, seed=10 + step) * 3 + step
        out = layer(x, REPEATS.double())
        for k in range(K):
            close(written_out(out[k]), plain[k](written_out(x[k])))
            close(layer.mean[k, 0], plain[k].running_mean)
            close(layer.var[k, 0], plain[k].running_var)
    layer.eval()
    x = rows(K, N, F, seed=20)
    for k in range(K):
        plain[k].eval()
        close(layer(x, REPEATS.double())[k], plain[k](x[k]))


def test_batch_norm_gradient_is_torchs() -> None:
    x, upstream = rows(1, N, F).requires_grad_(), rows(1, N, F, seed=1)
    layer = BatchNorm(1, F).double()
    (layer(x, REPEATS.double()) * upstream * REPEATS[:, None]).sum().backward()
    y = x.detach()[0].requires_grad_()
    (nn.BatchNorm1d(F).double()(written_out(y)) * written_out(upstream[0])).sum().backward()
    assert x.grad is not None and y.grad is not None
    close(x.grad[0], y.grad)


def plain_set2set(layer: Set2Set, k: int) -> PlainSet2Set:
    plain = PlainSet2Set(D, processing_steps=3).double()
    plain.lstm.weight_ih_l0.data = layer.input[k].T.contiguous()
    plain.lstm.weight_hh_l0.data = layer.hidden[k].T.contiguous()
    plain.lstm.bias_ih_l0.data = layer.bias[k, 0]
    plain.lstm.bias_hh_l0.data.zero_()
    return plain


def test_set2set_is_that_of_torch_geometric() -> None:
    layer = Set2Set(generators(), D).double()
    x, index = rows(K, N, D) * 2, torch.arange(N) // 4
    out = layer(x, torch.ones(N, dtype=torch.float64), index, 3)
    for k in range(K):
        close(out[k], plain_set2set(layer, k)(x[k], index))


def test_set2set_counts_a_row_as_often_as_its_weight_says() -> None:
    layer = Set2Set(generators(1), D).double()
    x = rows(1, N, D) * 2
    index = torch.arange(N) // 4
    repeated = plain_set2set(layer, 0)(written_out(x[0]), written_out(index))
    close(layer(x, REPEATS.double(), index, 3)[0], repeated)


def test_set2set_of_nothing_is_zero_and_disturbs_nobody() -> None:
    layer = Set2Set(generators(1), D).double()
    x, ones = rows(1, N, D).requires_grad_(), torch.ones(N, dtype=torch.float64)
    out = layer(x, ones, INDEX, 5)
    assert torch.equal(out[0, [2, 4]], torch.zeros(2, 2 * D, dtype=torch.float64))
    renamed = torch.tensor([0, 1, -1, 2])[INDEX]
    close(out[0, [0, 1, 3]], layer(x, ones, renamed, 3)[0])
    out.sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
    none = layer(x[:, :0], ones[:0], INDEX[:0], 2)
    assert torch.equal(none, torch.zeros(1, 2, 2 * D, dtype=torch.float64))


def test_set2set_bears_large_energies() -> None:
    layer = Set2Set(generators(1), D).double()
    out = layer(rows(1, N, D) * 1e6, torch.ones(N, dtype=torch.float64), INDEX, 4)
    assert torch.isfinite(out).all()


def test_gaussian_basis() -> None:
    basis = GaussianBasis(0.0, 8.0, 41, 0.2)
    distance = torch.tensor([0.0, 0.2, 2.1, 7.93])
    centres = np.arange(41) * 0.2
    wanted = np.exp(-((distance.numpy()[:, None] - centres) ** 2) / 0.2**2)
    torch.testing.assert_close(basis(distance), torch.tensor(wanted, dtype=torch.float32))
    assert basis(distance)[0, 0] == 1


@pytest.mark.parametrize(
    ("backbone", "count", "exponent"),
    [
        ("cgcnn", 41, lambda d, mu: (d - mu) ** 2 / 0.2**2),
        ("megnet", 25, lambda d, mu: (d - mu) ** 2 / (2 * 0.4**2)),
    ],
)
def test_basis_of_each_backbone(
    backbone: str, count: int, exponent: Callable[[float, np.ndarray], np.ndarray]
) -> None:
    centres = np.linspace(0, 8 if backbone == "cgcnn" else 4, count)
    found = model_of(backbone).basis(torch.tensor([2.345], dtype=torch.float64))[0]
    np.testing.assert_allclose(found.numpy(), np.exp(-exponent(2.345, centres)), atol=1e-6)


def test_scatter_sum_and_mean() -> None:
    x, weight = rows(K, N, D), REPEATS.double()
    total, mean = scatter_sum(x, INDEX, 5), scatter_mean(x, INDEX, 5, weight)
    for group in range(5):
        chosen = group == INDEX
        close(total[:, group], x[:, chosen].sum(1))
        if chosen.any():
            part = weight[chosen] / weight[chosen].sum()
            close(mean[:, group], (x[:, chosen] * part[:, None]).sum(1))
        else:
            assert torch.equal(mean[:, group], torch.zeros(K, D, dtype=torch.float64))


def test_mean_over_no_edges_is_zero() -> None:
    none = scatter_mean(rows(K, 0, D), INDEX[:0], 2, REPEATS[:0].double())
    assert torch.equal(none, torch.zeros(K, 2, D, dtype=torch.float64))


def test_gated_convolution_is_the_published_formula() -> None:
    """Xie & Grossman's layer, on the full graph, with the concatenation written out."""
    width, d_edge = 6, 41
    layer = GatedConvolution(generators(1), width, d_edge).double()
    with torch.no_grad():
        for norm in (layer.norm_edges, layer.norm_nodes):
            norm.weight.copy_(1 + 0.3 * rows(*norm.weight.shape, seed=3))
            norm.bias.copy_(rows(*norm.bias.shape, seed=4))
    batch = batch_of(graphs_of(list(named_crystals().values()), "cgcnn"))
    v = rows(1, batch.nodes, width)
    length = GaussianBasis(0.0, 8.0, 41, 0.2).double()(batch.length)
    edge = length[batch.edge_length]

    full = nn.Linear(2 * width + d_edge, 2 * width).double()  # its bias is taken out again by BN1
    full.weight.data = torch.cat([layer.own[0], layer.other[0], layer.edge[0]]).T
    first, second = nn.BatchNorm1d(2 * width).double(), nn.BatchNorm1d(width).double()
    for plain, norm in ((first, layer.norm_edges), (second, layer.norm_nodes)):
        plain.weight.data, plain.bias.data = norm.weight[0, 0].data, norm.bias[0, 0].data
    gated = first(full(torch.cat([v[0, batch.dst], v[0, batch.src], edge], dim=1)))
    filtered, core = gated.chunk(2, dim=1)
    summed = torch.zeros(batch.nodes, width, dtype=torch.float64).index_add(
        0, batch.dst, torch.sigmoid(filtered) * softplus(core)
    )
    torch.testing.assert_close(
        layer(v, length, batch)[0], softplus(v[0] + second(summed)), rtol=1e-9, atol=1e-9
    )


def test_megnet_block_is_the_published_formula() -> None:
    """Chen et al.'s update with the concatenations written out, on the full graph."""
    model = model_of("megnet")
    assert isinstance(model, MEGNet)
    block = model.blocks[1]
    batch = batch_of(graphs_of(list(named_crystals().values()), "megnet"))
    v, e, u = (rows(1, n, 32, seed=n) for n in (batch.nodes, len(batch.dst), batch.crystals))

    def dense(layer: nn.Module, x: Tensor) -> Tensor:
        return x @ layer.weight[0] + layer.bias[0]

    def updated(update: nn.Module, *parts: Tensor) -> Tensor:
        hidden = torch.cat(parts, dim=1) @ torch.cat([p[0] for p in update.parts]) + update.bias[0]
        hidden = shifted_softplus(hidden)
        return dense(update.third, shifted_softplus(dense(update.second, hidden)))

    def mean(x: Tensor, index: Tensor, size: int) -> Tensor:
        groups = [x[index == i] for i in range(size)]
        zero = torch.zeros(x.shape[1], dtype=x.dtype)
        return torch.stack([group.mean(0) if len(group) else zero for group in groups])

    pre = [
        shifted_softplus(dense(p.second, shifted_softplus(dense(p.first, x[0]))))
        for p, x in zip(block.pre, (v, e, u), strict=True)
    ]
    bond = updated(
        block.bond, pre[0][batch.src], pre[0][batch.dst], pre[1], pre[2][batch.edge_crystal]
    )
    atom = updated(
        block.atom, mean(bond, batch.dst, batch.nodes), pre[0], pre[2][batch.node_crystal]
    )
    state = updated(
        block.state,
        mean(bond, batch.edge_crystal, batch.crystals),
        mean(atom, batch.node_crystal, batch.crystals),
        pre[2],
    )
    for ours, before, change in zip(
        block(v, e, u, batch), (v, e, u), (atom, bond, state), strict=True
    ):
        torch.testing.assert_close(ours[0], before[0] + change, rtol=1e-9, atol=1e-9)


def test_gather() -> None:
    x = rows(K, N, D)
    assert torch.equal(gather(x, INDEX), x[:, INDEX])
