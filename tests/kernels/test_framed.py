"""Convolutions in the frame of an edge, against e3nn's tensor products and plain torch."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from e3nn import o3
from torch import Tensor
from torch.func import vmap

from trainables.kernels.calling import plain
from trainables.kernels.ops import FramedEdges, couplings, framed_sum
from trainables.representations.wigner import packed, to_pole, transpose

NODES, EDGES = 7, 40
orders = pytest.mark.parametrize("orders", list(product(range(4), repeat=2)), ids=str)


def made(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[FramedEdges, Tensor]:
    """Edges with directions, sorted by dst."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(EDGES, 3))
    into = packed(to_pole(vectors))
    ends = torch.from_numpy(rng.integers(0, NODES, (2, EDGES)))
    edges = FramedEdges(
        ends[0].sort().values,
        ends[1],
        torch.from_numpy(rng.random(EDGES)).to(dtype),
        torch.from_numpy(into).to(dtype),
        torch.from_numpy(transpose(into)).to(dtype),
    )
    return edges, torch.from_numpy(vectors).to(dtype)


def drawn(source: int, result: int, channels: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = ((source + 1) ** 2, NODES, channels), (EDGES, len(couplings(source, result)), channels)
    x, gain = (torch.randn(one, generator=generator, dtype=dtype) for one in shape)
    return x.requires_grad_(), gain.requires_grad_()


def gains(weights: dict[tuple[int, int, int], Tensor], source: int, result: int) -> Tensor:
    """[E, P, A] of weights of e3nn's paths, coupled with the harmonics of the pole."""
    found = []
    for m, one, other in couplings(source, result):
        total = torch.zeros(EDGES, 1, dtype=torch.float64)
        for (a, between, b), weight in weights.items():
            if (a, b) == (one, other):
                constants = o3.wigner_3j(a, between, b, dtype=torch.float64)
                # of the pole the harmonics of order l have the component m = 0 alone, of size 1
                total = total + weight * constants[a + m, between, b + m]
        found.append(total)
    return torch.stack(found, dim=1)


@orders
def test_they_are_tensor_products_with_harmonics(orders: tuple[int, int]) -> None:
    """With as many filters as couple the two orders, whatever their weights."""
    source, result = orders
    edges, vectors = made(dtype=torch.float64)
    x, _ = drawn(source, result, 1, torch.float64)
    weights: dict[tuple[int, int, int], Tensor] = {}
    wanted = torch.zeros((result + 1) ** 2, EDGES, 1, dtype=torch.float64)
    for one, other in product(range(source + 1), range(result + 1)):
        for between in range(abs(one - other), one + other + 1, 2):  # of natural parity
            weight = torch.rand(EDGES, 1, dtype=torch.float64) - 0.5
            weights[one, between, other] = weight
            harmonics = o3.spherical_harmonics(
                between, vectors[:, [1, 2, 0]], normalize=True, normalization="norm"
            )
            part = torch.einsum(
                "ijk,iea,ej->kea",
                o3.wigner_3j(one, between, other, dtype=torch.float64),
                x[one**2 : (one + 1) ** 2, edges.src],
                harmonics,
            )
            wanted[other**2 : (other + 1) ** 2] += part * weight
    total = torch.zeros((result + 1) ** 2, NODES, 1, dtype=torch.float64)
    total = total.index_add(1, edges.dst, wanted * edges.weight[:, None])
    found = framed_sum(x, gains(weights, source, result), edges, (result + 1) ** 2)
    assert len(weights) == len(couplings(source, result))
    torch.testing.assert_close(found, total, rtol=0, atol=1e-6)  # the digits of e3nn's constants


@orders
@pytest.mark.parametrize("channels", [1, 16, 20])
def test_the_kernel_is_the_definition(orders: tuple[int, int], channels: int) -> None:
    """Outputs and gradients, of full vectors of channels and of what is left beside them."""
    source, result = orders
    edges, _ = made()
    x, gain = drawn(source, result, channels, torch.float32)
    seen = []
    for context in (plain, torch.enable_grad):
        with context():
            y = framed_sum(x, gain, edges, (result + 1) ** 2)
            seen.append((y, *torch.autograd.grad(y.sin().sum(), (x, gain))))
    for one, other in zip(*seen, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-5, atol=2e-5)


def test_models_side_by_side_are_what_they_are_alone() -> None:
    """To the bit: a kernel takes one model after the other."""
    edges, _ = made()
    x, gain = drawn(2, 3, 20, torch.float32)
    both = torch.stack([x, x.flip(1)]), torch.stack([gain.cos(), gain])
    together = vmap(lambda x, gain: framed_sum(x, gain, edges, 16))(*both)
    for k in range(2):
        assert torch.equal(together[k], framed_sum(both[0][k], both[1][k], edges, 16))


@pytest.mark.parametrize(
    ("components", "couplings_", "entries", "message"),
    [
        (8, 14, 83, "8 and 9 components are no"),
        (9, 13, 83, "13 gains for the 14 couplings"),
        (9, 14, 33, "Wigner matrices up to l = 2 are not there"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    components: int, couplings_: int, entries: int, message: str
) -> None:
    """The kernel would read beyond its arrays."""
    edges, _ = made()
    fewer = FramedEdges(edges.dst, edges.src, edges.weight, edges.into[:, :entries], edges.out)
    x, gain = torch.zeros(components, NODES, 4), torch.zeros(EDGES, couplings_, 4)
    with pytest.raises(ValueError, match=message):
        framed_sum(x, gain, fewer, 9)
