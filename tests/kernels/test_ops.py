"""The fused kernels against the plain expressions that say what they mean."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainables.kernels import library, ops

K, N, E, L, B = 3, 7, 23, 5, 4
pytestmark = pytest.mark.skipif(library.load() is None, reason="no C++ compiler on this machine")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def positions(count: int, below: int, *, ascending: bool = False, seed: int = 0) -> Tensor:
    found = torch.randint(below, (count,), generator=torch.Generator().manual_seed(seed + below))
    return found.sort()[0] if ascending else found


def both_ways(
    function: Callable[..., Tensor], tensors: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Value and gradients by the kernels in float32, and by torch in float64."""

    def run(dtype: torch.dtype) -> list[Tensor]:
        leaves = [tensor.detach().to(dtype, copy=True).requires_grad_() for tensor in tensors]
        value = function(*leaves)
        value.backward(random(*value.shape, seed=9).to(dtype))
        return [value.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    fused = run(torch.float32)
    with ops.plain():
        return fused, run(torch.float64)


def agree(fused: list[Tensor], plain: list[Tensor]) -> None:
    assert len(fused) == len(plain) > 1
    for ours, exact in zip(fused, plain, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("features", [1, 5, 16, 33])
def test_softplus(features: int) -> None:
    x = 4 * random(K, N, features)
    agree(*both_ways(lambda x, b: ops.softplus(x, 0.5, b), [x, random(K, 1, features)]))
    agree(*both_ways(lambda x: ops.softplus(x), [x]))


def test_softplus_at_the_ends() -> None:
    x = torch.tensor([[[-1e30, -200.0, -88.0, -20.0, 0.0, 1e-8, 20.0, 88.0, 200.0, 1e30]]])
    exact = torch.logaddexp(x.double(), torch.zeros_like(x, dtype=torch.float64))
    torch.testing.assert_close(ops.softplus(x).double(), exact, rtol=3e-7, atol=1e-7)
    grid = torch.linspace(-30, 30, 100_001)[None, None]
    exact = torch.logaddexp(grid.double(), torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(ops.softplus(grid).double(), exact, rtol=3e-7, atol=1e-7)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_diverged_model_is_not_mended(bad: float) -> None:
    x = torch.zeros(2, 3, 4)
    x[1, 1, 1] = bad
    assert not ops.softplus(x)[1, 1, 1].isfinite()
    assert ops.softplus(x)[0].isfinite().all()


def test_gather_and_scatter() -> None:
    index, weight = positions(E, N), random(E).abs()
    agree(*both_ways(lambda x: ops.gather(x, index), [random(K, N, 5)]))
    for given in (None, weight):
        agree(
            *both_ways(
                lambda x, w=given: ops.scatter_sum(x, index, N, None if w is None else w.to(x)),
                [random(K, E, 5)],
            )
        )


def filtered(weight: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    indices = positions(E, N, ascending=True), positions(E, N, seed=1), positions(E, L, seed=2)

    def one(x: Tensor, by: Tensor) -> Tensor:
        return ops.filtered_sum(x, by, ops.FilteredEdges(*indices, weight.to(x.dtype)))

    return one


@pytest.mark.parametrize("features", [1, 5, 33])
def test_filtered_sum_of_one_model_and_of_several(features: int) -> None:
    one = filtered(random(E).abs())
    x, by = random(K, N, features), random(K, L, features)
    alone = [both_ways(one, [x[k], by[k]]) for k in range(K)]
    for fused, plain in alone:
        agree(fused, plain)
    together, exact = both_ways(torch.func.vmap(one), [x, by])
    agree(together, exact)
    assert torch.equal(together[0], torch.stack([fused[0] for fused, _ in alone]))


@pytest.mark.parametrize("dims", [(1, None), (None, 2)])
def test_filtered_sum_of_what_models_share(dims: tuple[int | None, int | None]) -> None:
    given = [
        random(rows, 4) if dim is None else random(K, rows, 4).movedim(0, dim)
        for rows, dim in zip((N, L), dims, strict=True)
    ]
    agree(*both_ways(torch.func.vmap(filtered(torch.ones(E)), in_dims=dims), given))


def bond_layers(by_length: bool) -> list[Tensor]:
    """w1 … b5 of MEGNet's widths; without the first five where the kind of a bond says all."""
    shapes = [(32, 64), (1, 64), (64, 32), (1, 32), (32, 64), (64, 64), (1, 64), (64, 32), (1, 32)]
    layers = [random(K, *shape, seed=place) / 8 for place, shape in enumerate(shapes)]
    return layers[5:] if by_length else layers


@pytest.mark.parametrize("edges", [1, 32, 75])  # a tile has 32 rows
@pytest.mark.parametrize("by_length", [True, False])
def test_update_bonds(by_length: bool, edges: int) -> None:
    dst, src = positions(edges, N, ascending=True), positions(edges, N, seed=1)
    kind = positions(edges, L) if by_length else None
    bond = random(K, L, 64) if by_length else random(K, edges, 32)
    parts = [random(K, N, 64, seed=1), random(K, N, 64, seed=2), bond]

    def update(own: Tensor, other: Tensor, bond: Tensor, *layers: Tensor) -> Tensor:
        given = ops.BondLayers(*[None] * (9 - len(layers)), *layers)
        return ops.update_bonds(own, other, bond, (dst, src, kind), given, 0.7)

    agree(*both_ways(update, [*parts, *bond_layers(by_length)]))


def test_one_models_bonds_leave_the_others_alone() -> None:
    dst, src = positions(E, N, ascending=True), positions(E, N, seed=1)
    parts = [random(K, N, 64, seed=1), random(K, N, 64, seed=2), random(K, E, 32)]
    parts[2][1, -1, -1] = float("nan")
    updated = ops.update_bonds(*parts, (dst, src, None), ops.BondLayers(*bond_layers(False)), 0.7)
    assert updated[[0, 2]].isfinite().all()
    assert updated[1, :-1].isfinite().all()
    assert not updated[1, -1].isfinite().any()


def test_attention_pool() -> None:
    crystal = torch.tensor([0] * 9 + [1] + [3] * 13)  # crystal 2 has no rows
    weight = random(E).abs() + 0.1

    def pool(x: Tensor, query: Tensor) -> Tensor:
        return ops.attention_pool(x, query, weight.to(x), crystal)

    fused, plain = both_ways(pool, [3 * random(K, E, 6), 3 * random(K, B, 6)])
    agree(fused, plain)
    assert not fused[0][:, 2].any()


def gated_parts(width: int) -> list[Tensor]:
    return [random(K, rows, 2 * width, seed=rows) for rows in (N, N + 1, L)]


@pytest.mark.parametrize("width", [1, 4, 8, 20])
def test_normed_gated_messages(width: int) -> None:
    indices = positions(E, N, ascending=True), positions(E, N, seed=1), positions(E, L)
    count, weight = random(E).abs() + 0.5, random(E, seed=3).abs() + 0.5
    own, _, length = gated_parts(width)
    inputs = [own, random(K, N, 2 * width, seed=5), length]
    inputs += [1 + 0.3 * random(K, 1, 2 * width, seed=s) for s in (6, 7)]
    statistics: list[list[Tensor]] = []

    def messages(*tensors: Tensor) -> Tensor:
        parts, (gain, bias) = tensors[:3], tensors[3:]
        weights = count.to(gain), weight.to(gain)
        total, mean, var = ops.normed_gated_messages(parts, indices, *weights, gain, bias, 1e-5)
        statistics.append([mean.detach(), var.detach()])
        return total

    agree(*both_ways(messages, inputs))
    agree(*statistics)


def test_gated_messages_without_gradients() -> None:
    indices = positions(E, N, ascending=True), positions(E, N, seed=1), positions(E, L)
    own, _, length = gated_parts(4)
    parts = own, random(K, N, 8, seed=5), length
    count, scale, offset = random(E).abs(), random(K, 1, 8, seed=6), random(K, 1, 8, seed=7)
    with torch.no_grad():
        fused = ops.gated_messages(parts, indices, count, scale, offset)
    plain = ops.gated_messages(parts, indices, count, scale, offset)  # a gradient may be asked for
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-5)


def test_no_edges() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert not ops.scatter_sum(torch.zeros(K, 0, 4), none, N).any()
    assert ops.gather(random(K, N, 4), none).shape == (K, 0, 4)
    pooled = ops.attention_pool(torch.zeros(K, 0, 4), random(K, B, 4), torch.zeros(0), none)
    assert not pooled.any()
    nodes, bonds, layers = random(K, N, 64), torch.zeros(K, 0, 32), bond_layers(False)
    given = ops.BondLayers(*layers)
    assert ops.update_bonds(nodes, nodes, bonds, (none, none, None), given, 0.7).shape[1] == 0


def test_views_are_taken_as_they_read() -> None:
    x = random(K, 6, N)
    turned = [x.transpose(1, 2)]
    index = positions(E, N)
    fused, plain = both_ways(lambda x: ops.gather(x, index), turned)
    agree(fused, plain)
