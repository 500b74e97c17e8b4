"""The fused kernels with sizes of none, one and more, against the plain expressions in torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.crystals.crystal import Crystal
from trainables.kernels import library, ops
from trainables.kernels.calling import call
from trainables.kernels.signatures import SIGNATURES
from trainables.models.backbones import BACKBONES
from trainables.testing.crystals import crystal
from trainables.testing.samples import dataset_of
from trainables.training.fit import fit
from trainables.training.specification import ArraySpec

pytestmark = pytest.mark.skipif(library.load() is None, reason="no C++ compiler on this machine")
COUNTS = (0, 1, 3)
# edges need something to point at
GRAPHS = [(n, e) for n, e in product(COUNTS, (0, 1, 40)) if n or not e]
MODELS = (1, 2)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def index(count: int, below: int, seed: int = 0) -> Tensor:
    """Ascending, as `dst` is."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(max(below, 1), (count,), generator=generator).sort()[0]


def agree(function: Callable[..., Tensor | tuple[Tensor, ...]], inputs: Sequence[Tensor]) -> None:
    """Values and gradients by the kernels in float32 and by torch in float64."""

    def run(dtype: torch.dtype) -> list[Tensor | None]:
        leaves = [x.to(dtype, copy=True).requires_grad_() for x in inputs]
        found = function(*leaves)
        values = found if isinstance(found, tuple) else (found,)
        values[0].backward(random(*values[0].shape, seed=9).to(dtype))
        return [*(value.detach() for value in values), *(leaf.grad for leaf in leaves)]

    fused = run(torch.float32)
    with ops.plain():
        exact = run(torch.float64)
    for ours, theirs in zip(fused, exact, strict=True):
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours.double(), theirs, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize(("rows", "features"), [*product(COUNTS, (0, 1, 17))])
def test_softplus(models: int, rows: int, features: int) -> None:
    x = random(models, rows, features)
    agree(lambda x: ops.softplus(x, 0.5), [x])
    agree(lambda x, b: ops.softplus(x, 0.5, b), [x, random(models, 1, features, seed=1)])


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize(("nodes", "edges"), GRAPHS)
@pytest.mark.parametrize("features", [1, 17])
def test_rows(models: int, nodes: int, edges: int, features: int) -> None:
    at, weight = index(edges, nodes), random(edges).abs()
    agree(lambda x: ops.gather(x, at), [random(models, nodes, features)])
    moved = random(models, edges, features)
    agree(lambda x: ops.scatter_sum(x, at, nodes), [moved])
    agree(lambda x: ops.scatter_sum(x, at, nodes, weight.to(x)), [moved])


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize(("nodes", "edges"), GRAPHS)
@pytest.mark.parametrize("features", [1, 17])
def test_filtered(models: int, nodes: int, edges: int, features: int) -> None:
    kinds = min(edges, 3)
    indices = index(edges, nodes), index(edges, nodes, seed=1).flip(0), index(edges, kinds, seed=2)
    weight = random(edges)

    def one(x: Tensor, by: Tensor) -> Tensor:
        return ops.filtered_sum(x, by, ops.FilteredEdges(*indices, weight.to(x.dtype)))

    given = [random(models, nodes, features), random(models, kinds, features, seed=3)]
    agree(torch.func.vmap(one), given)


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize(("nodes", "edges"), GRAPHS)
@pytest.mark.parametrize("orders", [(0, 0), (0, 3), (2, 2), (3, 1)])
def test_framed(models: int, nodes: int, edges: int, orders: tuple[int, int]) -> None:
    source, result = orders
    ends, weight = (index(edges, nodes), index(edges, nodes, seed=1).flip(0)), random(edges)
    into, out = random(edges, 83), random(edges, 83, seed=1)

    def one(x: Tensor, gain: Tensor) -> Tensor:
        like = ops.FramedEdges(*ends, *(part.to(x.dtype) for part in (weight, into, out)))
        return ops.framed_sum(x, gain, like, (result + 1) ** 2)

    gains = len(ops.couplings(source, result))
    given = [random(models, (source + 1) ** 2, nodes, 17), random(models, edges, gains, 17)]
    agree(torch.func.vmap(one), given)


SHAPES = [(32, 64), (1, 64), (64, 32), (1, 32), (32, 64), (64, 64), (1, 64), (64, 32), (1, 32)]


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize(
    ("nodes", "edges", "kinds"),
    # None: bonds have features of their own
    [
        (*graph, kinds)
        for graph in GRAPHS
        for kinds in (None, 0, 1, 3)
        if kinds != 0 or not graph[1]
    ],
)
def test_bonds(models: int, nodes: int, edges: int, kinds: int | None) -> None:
    kind = None if kinds is None else index(edges, kinds, seed=2)
    indices = index(edges, nodes), index(edges, nodes, seed=1).flip(0), kind
    bond = random(models, edges, 32) if kinds is None else random(models, kinds, 64)
    parts = [random(models, nodes, 64, seed=1), random(models, nodes, 64, seed=2), bond]
    layers = [random(models, *shape, seed=n) / 8 for n, shape in enumerate(SHAPES)]

    def update(own: Tensor, other: Tensor, bond: Tensor, *layers: Tensor) -> Tensor:
        given = ops.BondLayers(*[None] * (9 - len(layers)), *layers)
        return ops.update_bonds(own, other, bond, indices, given, math.log(2))

    agree(update, [*parts, *(layers if kinds is None else layers[5:])])


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize(("crystals", "rows"), GRAPHS)
@pytest.mark.parametrize("features", [1, 32])
def test_attention(models: int, crystals: int, rows: int, features: int) -> None:
    of, weight = index(rows, crystals), random(rows).abs() + 0.1
    inputs = [random(models, rows, features), random(models, crystals, features, seed=1)]
    agree(lambda x, query: ops.attention_pool(x, query, weight.to(x), of), inputs)


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize(("nodes", "edges"), GRAPHS)
@pytest.mark.parametrize("width", [1, 16])
def test_gated(models: int, nodes: int, edges: int, width: int) -> None:
    kinds = min(edges, 3)
    indices = index(edges, nodes), index(edges, nodes, seed=1).flip(0), index(edges, kinds, seed=2)
    count, weight = random(edges).abs() + 0.5, random(edges, seed=1).abs() + 0.5
    parts = [random(models, rows, 2 * width, seed=n) for n, rows in enumerate([nodes] * 2)]
    parts.append(random(models, kinds, 2 * width, seed=3))
    norm = [1 + 0.3 * random(models, 1, 2 * width, seed=n) for n in (4, 5)]

    def normed(*given: Tensor) -> tuple[Tensor, ...]:
        own, other, length, gain, bias = given
        weights = count.to(own), weight.to(own)
        return ops.normed_gated_messages((own, other, length), indices, *weights, gain, bias, 1e-1)

    agree(normed, [*parts, *norm])
    with torch.no_grad():
        fused = ops.gated_messages((*parts,), indices, count, *norm)
        with ops.plain():
            plain = ops.gated_messages((*parts,), indices, count, *norm)
    torch.testing.assert_close(fused, plain, rtol=3e-5, atol=3e-5)


# ------------------------------------------------------------------------------------- whole models


def isolated(edge: float = 9.0) -> list[Crystal]:
    """An atom in a box beyond both cutoffs: no edge at all."""
    return [crystal([z], [(0, 0, 0)], edge * np.eye(3)) for z in (2, 3, 10, 11, 18, 19, 36, 37, 55)]


def one_atom() -> list[Crystal]:
    """Elements with one atom a cell, and neighbours."""
    return isolated(3.2)


def mixed() -> list[Crystal]:
    """Of both, in turn."""
    return [one for pair in zip(isolated(), one_atom(), strict=True) for one in pair][:9]


@pytest.mark.parametrize("crystals", [isolated, one_atom, mixed])
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("mixings", "size"), [(("H",), 1), (("H", "0", "L"), 2)])
def test_trainings_with_and_without_kernels(
    backbone: str, crystals: Callable[[], list[Crystal]], size: int, mixings: tuple[str, ...]
) -> None:
    dataset = dataset_of(backbone, crystals())
    recipe = dataclasses.replace(BACKBONES[backbone].recipes["paper"], epochs=2, batch_size=size)
    spec = ArraySpec(
        backbone=backbone, dim=8, mixings={m: m for m in mixings}, fold=0, seed=0, recipe=recipe
    )
    fused = fit(spec, dataset)
    with ops.plain():
        plain = fit(spec, dataset)
    assert fused[0].sizes["n_train"] % 2 == 1, "the last batch is of one crystal"
    assert len(fused) == len(mixings)
    for ours, theirs in zip(fused, plain, strict=True):
        assert not ours.history.diverged and ours.history.epochs == 2
        assert ours.history.train_loss == pytest.approx(theirs.history.train_loss, rel=1e-3)
        assert ours.metrics["test_mae"] == pytest.approx(theirs.metrics["test_mae"], rel=1e-3)


# -------------------------------------------------------------------------------------- wrong calls


def test_every_function_of_the_library_has_its_signature() -> None:
    declared = library.SOURCE.read_text().split('extern "C" {')[1].split("\n}  // extern")[0]
    heads = [line for line in declared.splitlines() if line.startswith(("void ", "int "))]
    names = [head.split("(")[0].split()[1] for head in heads]
    assert sorted(names) == sorted([*SIGNATURES, "any_outside"])
    for name, signature in SIGNATURES.items():
        text = declared[declared.index(f"void {name}(") :]
        given = text[text.index("(") + 1 : text.index(")")].replace("\n", " ").split(",")
        kinds = [" ".join(part.split()[:-1]).replace("const ", "") for part in given]
        tensors = ["int64_t*" if p.below else "float*" for p in signature.parameters]
        assert kinds == [
            *["int64_t"] * len(signature.sizes), *tensors, *["float"] * signature.numbers
        ], name  # fmt: skip
        assert [part.split()[-1] for part in given[: len(signature.sizes)]] == [*signature.sizes]
        names_there = [part.split()[-1].lstrip("*") for part in given[len(signature.sizes) :]]
        assert names_there[: len(tensors)] == [p.name for p in signature.parameters]


def tensors_of(name: str) -> list[Tensor]:
    """Arguments of a function, of small sizes, all zeros."""
    sizes = {"K": 2, "N": 3, "E": 4, "L": 2, "B": 2, "F": 5, "A": 6}
    return [
        torch.zeros(
            [factor * sizes.get(letter, 1) for factor, letter in parameter.axes],
            dtype=torch.int64 if parameter.below else torch.float32,
        )
        for parameter in SIGNATURES[name].parameters
    ]


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_wrong_call_is_an_error_and_no_crash(name: str) -> None:
    signature = SIGNATURES[name]
    numbers = [1.0] * signature.numbers
    right = tensors_of(name)
    call(name, *right, *numbers)
    for place, parameter in enumerate(signature.parameters):
        tensor = right[place]
        wrong = [
            tensor.to(torch.float64), tensor.to(torch.int32), tensor[None], tensor.to("meta"),
            torch.cat([tensor, tensor])[::2], tensor.expand(2, *tensor.shape)[:, :1].squeeze(1),
        ]  # fmt: skip
        # a tensor that alone has a letter may have any size
        shared = [p for n, p in enumerate(signature.parameters) if n != place]
        for axis, (_, letter) in enumerate(parameter.axes):
            if not letter or any(letter in dict((b, a) for a, b in p.axes) for p in shared):
                wrong += [tensor.narrow(axis, 0, 0), torch.cat([tensor, tensor], axis)]
        for bad in wrong:
            given = [*right[:place], bad, *right[place + 1 :]]
            with pytest.raises(ValueError, match=f"^{name}: "):
                call(name, *given, *numbers)
        if parameter.below:
            for entry in (-1, 100, -(2**63), 2**63 - 1):
                given = [one.clone() for one in right]
                given[place][-1] = entry
                with pytest.raises(IndexError, match=f"^{name}: {parameter.name} points beyond"):
                    call(name, *given, *numbers)
    with pytest.raises((TypeError, ValueError)):
        call(name, *right[:-1], *numbers)


def test_an_index_beyond_its_rows_is_an_error_for_a_caller() -> None:
    with pytest.raises(IndexError, match="gather_rows: index points beyond its 3 rows"):
        ops.gather(random(1, 3, 4), torch.tensor([0, 3]))
    with pytest.raises(IndexError, match="attention_forward: crystal points beyond its 0 rows"):
        ops.attention_pool(random(1, 2, 4), random(1, 0, 4), torch.ones(2), torch.tensor([0, 0]))
