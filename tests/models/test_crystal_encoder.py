"""The crystal encoder: orbits against all atoms, invariances, vectors that turn, attention."""

from __future__ import annotations

import copy
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from e3nn import o3

from tests.models.slabs_for_tests import CHANGES, SLABS, SMALL, slabs
from trainables.crystals.crystal import Crystal
from trainables.models.crystal_encoder import CrystalEncoder, IrrepLinear, Table
from trainables.models.stacking import Stack
from trainables.representations.graph_batch import SlabBatch
from trainables.representations.neighbours import find_neighbours
from trainables.representations.slab_graph import SlabGraphs
from trainables.representations.symmetrise import symmetrise, unsymmetrised
from trainables.testing.crystals import named_crystals, rotated
from trainables.testing.samples import batch_of, built

CASES = list(product(slabs(), CHANGES))


@cache
def encoder() -> CrystalEncoder:
    torch.manual_seed(3)
    return CrystalEncoder(SMALL).double()


@cache
def elements() -> torch.Tensor:
    drawn = torch.Generator().manual_seed(4)
    return torch.randn(119, SMALL.elements, generator=drawn).double()


def batch(*crystals: Crystal) -> SlabBatch:
    made: SlabBatch = batch_of(built(list(crystals), SLABS))
    return made


def of_all_atoms(one: Crystal) -> SlabBatch:
    """Every atom a node, every edge an edge."""
    made: SlabBatch = batch_of(SLABS.of([unsymmetrised(symmetrise(one).crystal)], find_neighbours))
    return made


def embedded(given: SlabBatch) -> torch.Tensor:
    found: torch.Tensor = encoder()(elements(), given)
    return found


def demand_equal(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [*slabs(), "SrTiO3", "ZnO", "graphite", "isolated"])
def test_orbits_give_what_all_atoms_give(name: str) -> None:
    """Values and gradients."""
    one = (slabs() | named_crystals())[name]
    found = []
    for given in (batch(one), of_all_atoms(one)):
        encoder().zero_grad()
        output = embedded(given)
        output.square().sum().backward()
        gradient = [value.grad for value in encoder().parameters() if value.grad is not None]
        found.append((output.detach(), torch.cat([each.flatten() for each in gradient])))
    assert batch(one).nodes <= of_all_atoms(one).nodes
    for first, second in zip(*found, strict=True):
        demand_equal(first, second)


@pytest.mark.parametrize(("name", "change"), CASES)
def test_the_description_does_not_matter(name: str, change: str) -> None:
    one = slabs()[name]
    demand_equal(embedded(batch(one)), embedded(batch(CHANGES[change](one))))


def test_crystals_beside_it_do_not_matter() -> None:
    crystals = list(slabs().values())
    together = embedded(batch(*crystals))
    alone = [embedded(batch(one)) for one in crystals]
    demand_equal(together, torch.cat(alone))
    assert (together[1:] - together[:-1]).abs().amax(dim=1).min() > 1e-3


def crystal_vectors(one: Crystal) -> torch.Tensor:
    """[3, V] in the orientation of the crystal."""
    given = batch(one)
    _, vectors, table = encoder().features(elements(), given)
    found = encoder().crystal_vectors(vectors, given, table)[0]
    graphs = built([one], SLABS)
    assert isinstance(graphs, SlabGraphs)
    return torch.from_numpy(graphs.frame[0]) @ found.detach()


@pytest.mark.parametrize("name", slabs())
def test_vectors_turn_with_the_crystal(name: str) -> None:
    """And are none where symmetry forbids them."""
    one = slabs()[name]
    turn = np.linalg.solve(one.lattice, rotated(one, 5).lattice)
    found = crystal_vectors(one)
    demand_equal(torch.from_numpy(turn.T) @ found, crystal_vectors(rotated(one, 5)))
    assert (found.abs().max() > 1e-3) == (name != "MoS2")


def test_vectors_of_a_mirrored_crystal_are_mirrored() -> None:
    """They are polar."""
    one = slabs()["low"]
    found, mirrored = (crystal_vectors(it) for it in (one, CHANGES["reflection"](one)))
    demand_equal(found * torch.tensor([[1.0], [1.0], [-1.0]]).double(), mirrored)


def test_the_linear_layer_is_that_of_e3nn() -> None:
    ours = IrrepLinear(5).double()
    irreps = o3.Irreps("5x0e + 5x1o")
    theirs = o3.Linear(irreps, irreps, biases=True).double()
    scale = 5**0.5  # e3nn divides by the root of the inputs
    weights = torch.cat([ours.scalars.weight.T.flatten(), ours.vectors.weight.T.flatten()])
    theirs.weight.data = weights.detach() * scale
    theirs.bias.data = ours.scalars.bias.detach()
    scalars, vectors = torch.randn(7, 5).double(), torch.randn(7, 3, 5).double()
    joined = torch.cat([scalars, vectors.transpose(1, 2).flatten(1)], dim=1)
    found = torch.cat([part.flatten(1) for part in _by_channel(ours(scalars, vectors))], dim=1)
    demand_equal(found, theirs(joined))


def _by_channel(parts: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return parts[0], parts[1].transpose(1, 2)


def test_attention_is_one_softmax_over_edges_and_atoms() -> None:
    """As a loop over both has it."""
    given = of_all_atoms(slabs()["MoSSe"])
    own = copy.deepcopy(encoder())
    table, basis = Table.of(given), own.basis(given.length)
    block = own.blocks[0]
    torch.manual_seed(0)
    x = torch.randn(given.nodes, SMALL.width).double()
    torch.nn.init.normal_(own.bias.field)
    found = block(x, own.bias(basis, given, table), table)
    heads, size = SMALL.heads, SMALL.width // SMALL.heads
    asks = block.asks(block.before(x)).unflatten(-1, (3, heads, size))
    bias = own.bias.out(torch.nn.functional.silu(own.bias.hidden(basis)))
    bias = 10 * torch.tanh(bias / 10)
    field = 10 * torch.tanh(own.bias.field / 10)
    heard = torch.zeros(given.nodes, heads, size).double()
    for node, head in product(range(given.nodes), range(heads)):
        logits, values = [], []
        for edge in torch.nonzero(given.dst == node).flatten().tolist():
            other = given.src[edge]
            logit = asks[node, 0, head] @ asks[other, 1, head] / size**0.5 + bias[edge, head]
            logits.append(logit)
            values.append(asks[other, 2, head])
        for other in range(given.nodes):
            logit = asks[node, 0, head] @ asks[other, 1, head] / size**0.5 + field[head]
            logits.append(logit - np.log(given.nodes))
            values.append(asks[other, 2, head])
        share = torch.softmax(torch.stack(logits), dim=0)
        heard[node, head] = share @ torch.stack(values)
    wanted = x + block.tells(heard.flatten(1))
    demand_equal(found, wanted + block.dense(block.between(wanted)))


def test_stacked_models_in_single_precision_are_the_plain_ones() -> None:
    """There the kernels compute, for all models at once."""
    crystals = list(slabs().values())
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    stack = Stack(lambda: CrystalEncoder(SMALL), generators)
    given = batch_of(built(crystals, SLABS), torch.float32)
    vectors = elements().float().repeat(2, 1, 1)
    found = stack(vectors, given)
    found.square().sum().backward()
    plain = CrystalEncoder(SMALL).double()
    for model in range(2):
        plain.load_state_dict(
            {name: value[model] for name, value in stack.module.state_dict().items()}
        )
        plain.zero_grad()
        wanted = plain(elements(), batch(*crystals))
        wanted.square().sum().backward()
        torch.testing.assert_close(found[model].double(), wanted, rtol=1e-4, atol=1e-5)
        for name, value in plain.named_parameters():
            own = stack.module.get_parameter(name).grad
            assert own is not None and value.grad is not None
            torch.testing.assert_close(own[model].double(), value.grad, rtol=1e-3, atol=1e-4)
