"""The SE(3)-transformer on orbits is the published one on all atoms, written with e3nn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from e3nn import o3
from scipy.spatial.transform import Rotation
from torch import Tensor

from tests.crystals.symmetric_crystals import of_group
from trainables.crystals.crystal import Crystal
from trainables.models.se3_transformer import (
    HIDDEN,
    LAYERS,
    TYPES,
    Keys,
    Layer,
    Linear,
    Path,
    SE3Transformer,
    Values,
    bessel,
    paths,
)
from trainables.representations.batches import DeviceColumns
from trainables.representations.full_graph import FullGraph
from trainables.representations.graph import CrystalGraph
from trainables.representations.graph_batch import FullBatch
from trainables.representations.neighbours import find_neighbours
from trainables.representations.orbit_graph import OrbitGraph

POINTS, WIDTH, CUTOFF = 5, 3, 4.0
GROUPS = (2, 19, 146, 160, 225)  # from triclinic to cubic, polar and chiral ones among them
OUT = (3, 4, 0)  # highest degrees after each layer of the published code
TYPES_ZT = torch.eye(TYPES + 1, dtype=torch.float64)[:, 1:]
ORBITS = OrbitGraph(name="orbits", version=1, cutoff=CUTOFF, max_neighbours=None)
ATOMS = FullGraph(name="atoms", version=1, cutoff=CUTOFF, max_neighbours=None)


def batch_of(crystals: Sequence[Crystal], kind: CrystalGraph):  # type: ignore[no-untyped-def]
    graphs = kind.build(find_neighbours(crystals, [kind]))
    data = DeviceColumns.load(graphs, np.zeros(len(crystals)), dtype=torch.float64)
    return data.take(torch.arange(len(crystals)))


@pytest.fixture
def network() -> SE3Transformer:
    torch.manual_seed(0)
    made = SE3Transformer(POINTS, WIDTH).double()
    with torch.no_grad():  # larger than in the code, so that every path matters
        made.embedding.weights[0].mul_(TYPES**0.5)
    return made


def irreps(width: int, highest: int) -> o3.Irreps:
    return o3.Irreps([(width, (l, (-1) ** l)) for l in range(highest + 1)])  # noqa: E741


def filled(product: o3.TensorProduct, weights: dict[tuple[int, int, int], Tensor]) -> Tensor:
    """The flat weights of a product, [E, n] or [n]; random where there are none."""
    parts = []
    sample = next(iter(weights.values()))
    for one in product.instructions:
        degrees = tuple(
            of[place].ir.l
            for of, place in (
                (product.irreps_in1, one.i_in1),
                (product.irreps_in2, one.i_in2),
                (product.irreps_out, one.i_out),
            )
        )
        size = int(np.prod(one.path_shape))
        found = weights.get(degrees)  # type: ignore[call-overload]
        if found is None:
            found = torch.randn(*sample.shape[:-1], size, dtype=torch.float64)
        parts.append(found.reshape(*found.shape[:-1], size))
    return torch.cat(parts, dim=-1)


def linear(module: Linear, given: o3.Irreps, out: o3.Irreps, x: Tensor) -> Tensor:
    plain = o3.Linear(given, out).double()
    flat = []
    for one in plain.instructions:
        degree = str(plain.irreps_in[one.i_in].ir.l)
        weight = module.weights.get(degree)
        flat.append(torch.randn(one.path_shape).double() if weight is None else weight)
    return plain(x, torch.cat([one.flatten() for one in flat]))


def sign(path: Path) -> float:
    """That of e3nn's coupling coefficients, which is arbitrary for each path."""
    return float(torch.sign(torch.dot(factors_of_e3nn(path), path.factors())))


def factors_of_e3nn(path: Path) -> Tensor:
    pole = torch.tensor([0.0, 1.0, 0.0]).double()
    y = o3.spherical_harmonics(path.edge, pole, True, "component")
    coupled = o3.wigner_3j(path.given, path.edge, path.out, dtype=torch.float64)
    by_m = torch.einsum("ijk,j->ik", coupled, y) * (2 * path.out + 1) ** 0.5
    orders = range(-path.shared, path.shared + 1)
    assert torch.count_nonzero(by_m.abs() > 1e-9) <= len(orders)  # diagonal in m
    return torch.stack([by_m[path.given + m, path.out + m] for m in orders])


@pytest.mark.parametrize("path", paths(3, 4, range(4)), ids=str)
def test_factors_are_those_of_e3nn(path: Path) -> None:
    torch.testing.assert_close(
        sign(path) * factors_of_e3nn(path), path.factors(), rtol=1e-6, atol=1e-7
    )


def published(layer: Layer, place: int, x: Tensor, attr: Tensor, batch: FullBatch, basis: Tensor):  # type: ignore[no-untyped-def]
    """A layer as in the public code (DosNet, model/_points_convolution.py)."""
    degrees, width = LAYERS[place], x.shape[1] // (LAYERS[place].given + 1) ** 2
    if place == 2:  # the second layer goes up to l = 4 there
        width = x.shape[1] // 25
    given = irreps(width, 4 if place == 2 else degrees.given)
    out = irreps({0: WIDTH, 1: 2 * WIDTH, 2: POINTS}[place], OUT[place])
    edge = irreps(1, OUT[place])
    own = o3.FullyConnectedTensorProduct(given, f"{TYPES}x0e", out).double()
    weights = {(l, 0, l): one.flatten() for l, one in enumerate(layer.own.weights)}  # noqa: E741
    kept = own(x, attr, filled(own, weights))
    inner = linear(layer.before, given, given, x)
    y = o3.spherical_harmonics(edge, batch.vector, True, "component")
    keys: Keys = layer.keys
    asked = irreps(keys.dots[0].shape[0], 2)
    query = linear(keys.query, given, asked, inner)
    product = o3.FullyConnectedTensorProduct(given, edge, asked, shared_weights=False).double()
    hidden = keys.filter(basis)
    key_weights = {
        (path.given, path.edge, path.out): torch.einsum("eh,huv->euv", hidden, weight).flatten(1)
        * (sign(path) / HIDDEN**0.5)
        for path, weight in zip(keys.paths, keys.weights, strict=True)
    }
    key = product(inner[batch.src], y, filled(product, key_weights))
    dot = o3.FullyConnectedTensorProduct(asked, asked, "0e").double()
    dots = {(l, l, 0): one.flatten() for l, one in enumerate(keys.dots)}  # noqa: E741
    logit = dot(query[batch.dst], key, filled(dot, dots))
    raised = torch.exp(logit - logit.max())
    total = raised.new_zeros(batch.nodes, 1).index_add(0, batch.dst, raised)
    values: Values = layer.values
    middle, steps = [], []
    for i, (mul, one) in enumerate(given):
        for j, (_, other) in enumerate(edge):
            for result in one * other:
                if result in out or result == o3.Irrep("0e"):
                    steps.append((i, j, len(middle), "uvu", True))
                    middle.append((mul, result))
    ordered, places, _ = o3.Irreps(middle).sort()
    steps = [(i, j, places[k], mode, train) for i, j, k, mode, train in steps]
    sent = o3.TensorProduct(
        given, edge, ordered, steps, internal_weights=False, shared_weights=False
    ).double()
    filters = values.filter(basis).view(len(basis), len(values.paths), width)
    by_path = {
        (p.given, p.edge, p.out): sign(p) * filters[:, n] for n, p in enumerate(values.paths)
    }
    new = raised / total[batch.dst] * sent(inner[batch.src], y, filled(sent, by_path))
    summed = new.new_zeros(batch.nodes, new.shape[1]).index_add(0, batch.dst, new)
    return kept + linear(values.after, ordered.simplify(), out, summed)


def on_atoms(network: SE3Transformer, batch: FullBatch) -> Tensor:
    elements = network.embedding(TYPES_ZT[batch.z])
    basis = bessel(batch.vector.norm(dim=1), network.frequency)
    x = elements
    for place, layer in enumerate(network.layers):
        x = published(layer, place, x, elements, batch, basis)
    plain = o3.Linear(f"{POINTS}x0e", f"{POINTS}x0e").double()
    return torch.nn.functional.silu(plain(x, network.out.weights["0"].flatten()))


def mean(density: Tensor, batch: FullBatch) -> Tensor:
    weight = batch.multiplicity[:, None]
    zero = density.new_zeros(batch.crystals, density.shape[1])
    total = zero.index_add(0, batch.node_crystal, density * weight)
    return total / zero.index_add(0, batch.node_crystal, weight.expand_as(density))


@pytest.mark.parametrize("group", GROUPS)
def test_orbits_give_what_the_published_code_gives_on_all_atoms(
    network: SE3Transformer, group: int
) -> None:
    crystals = [of_group(group)]
    orbits, atoms = batch_of(crystals, ORBITS), batch_of(crystals, ATOMS)
    found = mean(network(TYPES_ZT, orbits), orbits)
    wanted = mean(on_atoms(network, atoms), atoms)
    assert wanted.abs().max() > 1e-4  # else nothing is compared
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("group", GROUPS)
def test_a_rotated_crystal_has_the_same_density(network: SE3Transformer, group: int) -> None:
    one = of_group(group)
    turn = Rotation.from_euler("zyx", [0.3, 1.1, -0.7]).as_matrix()
    other = Crystal(one.numbers, one.frac, one.lattice @ turn)
    batches = [batch_of([crystal], ORBITS) for crystal in (one, other)]
    found = [mean(network(TYPES_ZT, batch), batch) for batch in batches]
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-9)


def test_every_weight_learns(network: SE3Transformer) -> None:
    batch = batch_of([of_group(group) for group in GROUPS], ORBITS)
    network(TYPES_ZT, batch).square().sum().backward()
    idle = [name for name, one in network.named_parameters() if one.grad is None]
    assert not idle
