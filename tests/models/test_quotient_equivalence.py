"""The quotient is exact for each crystal and type of numbers; the contract tries all together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables.crystals.crystal import Crystal
from trainables.models.backbones import BACKBONES
from trainables.representations.columns import Columns
from trainables.representations.graph_batch import GraphBatch
from trainables.testing.crystals import named_crystals
from trainables.testing.samples import batch_of, built, model_of, of_all_atoms

CRYSTALS = named_crystals()
both = pytest.mark.parametrize("backbone", BACKBONES)


def observed(model: nn.Module, batch: GraphBatch) -> dict[str, Tensor]:
    """Everything that affects training: outputs in both modes, gradients, running statistics."""
    model.train()
    output = model(batch)
    model.zero_grad()
    (output - batch.target).square().mean(dim=1).sum().backward()
    seen = {"train": output.detach()}
    seen |= {f"grad {name}": p.grad.clone() for name, p in model.named_parameters()}
    seen |= {f"buffer {name}": buffer.clone() for name, buffer in model.named_buffers()}
    model.eval()
    with torch.no_grad():
        seen["eval"] = model(batch)
    return seen


def both_graphs(crystals: Sequence[Crystal], backbone: str) -> tuple[Columns, Columns]:
    """Of all atoms, and as the backbone gets them."""
    kind = BACKBONES[backbone].representation
    return of_all_atoms(crystals, kind), built(crystals, kind)


def differences(backbone: str, graphs: Columns, other: Columns) -> dict[str, float]:
    """Largest absolute difference of each observed thing."""
    a, b = (observed(model_of(backbone, ["H", "auto", "L"]), batch_of(g)) for g in (graphs, other))
    return {name: float((a[name] - b[name]).abs().max()) for name in a}


@both
@pytest.mark.parametrize("name", CRYSTALS)
def test_quotient_is_the_full_graph_for_each_crystal_alone(backbone: str, name: str) -> None:
    found = differences(backbone, *both_graphs([CRYSTALS[name]], backbone))
    assert max(found.values()) < 1e-10, found


@both
def test_quotient_is_the_full_graph_in_single_precision(backbone: str) -> None:
    full, classes = (
        observed(
            model_of(backbone, ["H", "auto", "L"], dtype=torch.float32),
            batch_of(g, torch.float32),
        )
        for g in both_graphs(list(CRYSTALS.values()), backbone)
    )
    whole = torch.cat([full[name].flatten() for name in full if name.startswith("grad")])
    for name, value in full.items():
        # a gradient is rounded at the size of the whole one, an output at its own
        size = whole.norm() if name.startswith("grad") else value.abs().max().clamp(min=1)
        assert (value - classes[name]).abs().max() <= 1e-5 * size, name


@both
@pytest.mark.parametrize("column", ["multiplicity", "count"])
def test_one_wrong_number_is_noticed(backbone: str, column: str) -> None:
    graphs, classes = both_graphs(list(CRYSTALS.values()), backbone)
    wrong = getattr(classes, column).copy()
    # in rutile, whose atoms have several classes of neighbours
    start = classes.node_ptr if column == "multiplicity" else classes.edge_ptr
    wrong[start[list(CRYSTALS).index("TiO2")]] += 1
    found = differences(backbone, graphs, dataclasses.replace(classes, **{column: wrong}))
    assert found["train"] > 1e-6
    assert found["eval"] > 1e-6
    assert max(value for name, value in found.items() if name.startswith("grad")) > 1e-6


@both
def test_a_batch_without_edges_keeps_statistics_and_gives_a_number(backbone: str) -> None:
    box = dataclasses.replace(CRYSTALS["isolated"], lattice=np.eye(3) * 100.0)
    lonely = built([box] * 2, BACKBONES[backbone].representation)
    assert lonely.edges == 0
    model = model_of(backbone).train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    assert torch.isfinite(model(batch_of(lonely))).all()
    for name, buffer in model.named_buffers():
        if "norm_edges" in name:
            assert torch.equal(buffer, before[name]), name


@both
def test_layers_of_a_class_are_those_of_its_atoms(backbone: str) -> None:
    graphs, classes = both_graphs([CRYSTALS["MgAl2O4"]], backbone)
    model = model_of(backbone).eval()
    full, small = (model.node_layers(batch_of(g)) for g in (graphs, classes))
    assert len(full) == (4 if backbone == "cogn" else 3)
    for layer, (atoms, nodes) in enumerate(zip(full, small, strict=True)):
        for z in np.unique(graphs.z):  # one class an element in spinel
            node = nodes[:, torch.from_numpy(classes.z == z)]
            difference = atoms[:, torch.from_numpy(graphs.z == z)] - node
            assert difference.abs().max() < 1e-12, (layer, z)
