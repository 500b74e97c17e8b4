"""The equivariant network with each of its options: features of orbits and of all atoms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.crystals.symmetric_crystals import of_group
from trainables.crystals.crystal import Crystal
from trainables.models.backbones import BACKBONES
from trainables.models.options import TensorOptions
from trainables.models.tensor import TensorNetwork
from trainables.representations.space_group import turns
from trainables.representations.symmetrise import symmetrise
from trainables.representations.wigner import packed, unpack
from trainables.testing.crystals import named_crystals
from trainables.testing.samples import batch_of, built, of_all_atoms

KIND = BACKBONES["tensor"].representation
CRYSTALS = {
    **{str(group): of_group(group) for group in (1, 19, 152, 166, 194, 216, 225)},
    "isolated": named_crystals()["isolated"],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "invariant": {"l_max": 0},
    "vectors": {"l_max": 1, "result": 1},
    "usual": {"result": 2},
    "third order": {"l_max": 3, "result": 3},
    "attention": {"heads": 4, "result": 2},
    "lengths alone": {"ends": False, "result": 2},
    "first invariant": {"invariant_layers": 1, "result": 2},
    "more in the end": {"l_max": 1, "result": 3},
}


def network(**options: Any) -> TensorNetwork:
    torch.manual_seed(0)
    return TensorNetwork(5, width=8, hidden=12, **options).double()


def elements() -> Tensor:
    return torch.randn(119, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def turned(x_mna: Tensor, rotations: np.ndarray) -> Tensor:
    """Features [M, N, A] with each node's orders multiplied by its Wigner matrices."""
    parts = [x_mna[:1]]
    for order, matrix in enumerate(unpack(packed(rotations)), 1):
        own = x_mna[order**2 : (order + 1) ** 2]
        if len(own):
            parts.append(torch.einsum("nij,jna->ina", torch.from_numpy(matrix), own))
    return torch.cat(parts)


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("options", OPTIONS)
def test_orbits_have_the_features_of_their_atoms(name: str, options: str) -> None:
    """Each atom's are those of the first of its orbit, turned by the operation between them."""
    crystal = CRYSTALS[name]
    plain = network(**OPTIONS[options])
    symmetric = symmetrise(crystal)
    whole = plain.features(elements(), batch_of(of_all_atoms([crystal], KIND)))
    merged = plain.features(elements(), batch_of(built([crystal], KIND)))
    _, orbit = np.unique(symmetric.first, return_inverse=True)
    rotations = turns()[symmetric.group.turn[symmetric.by]]
    for all_mna, orbit_mna in zip(whole, merged, strict=True):
        wanted = turned(orbit_mna[:, orbit], rotations)
        torch.testing.assert_close(all_mna, wanted, rtol=0, atol=1e-9)


def test_features_depend_on_directions() -> None:
    """Two crystals whose atoms have the same lengths and other angles: l > 0 tells them apart."""
    straight, bent = [[0.2, 0, 0], [-0.2, 0, 0]], [[0.2, 0, 0], [0, 0.2, 0]]
    numbers = np.array([8, 1, 1], np.uint8)
    # the outer atoms are 3.6 and 2.5 Å apart, but one layer only tells each of its own distances
    crystals = [
        Crystal(numbers, np.array([[0, 0, 0], *arms]), np.eye(3) * 9.0) for arms in (straight, bent)
    ]
    batch = batch_of(built(crystals, KIND))
    centres = torch.nonzero(batch.z == 8).flatten()
    with torch.no_grad():
        invariant, equivariant = (
            network(l_max=order, layers=1, result=order).features(elements(), batch)[-1][:, centres]
            for order in (0, 1)
        )
    assert float((invariant[:, 0] - invariant[:, 1]).abs().max()) < 1e-9
    assert float((equivariant[0, 0] - equivariant[0, 1]).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l_max": 4}, "l_max 4: orders are 0 to 3"),
        (
            {"layers": 2, "invariant_layers": 2},
            "invariant_layers 2: must be fewer than all layers, 2",
        ),
        ({"width": 32, "heads": 5}, "heads 5: must divide the width, 32"),
    ],
)
def test_options_of_which_no_network_can_be_made(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TensorOptions(**options)  # type: ignore[arg-type]
