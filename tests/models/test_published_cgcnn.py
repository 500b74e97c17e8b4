"""Our CGCNN against the published code, where `CGCNN_CHECKOUT` names a checkout of it."""

from __future__ import annotations

import importlib.util
import os
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables.elements import descriptor
from trainables.representations.quotient import quotient
from trainables.testing.crystals import named_crystals
from trainables.testing.samples import batch_of, graphs_of, model_of

NAMES = ("NaCl", "Cu", "SrTiO3", "ZnO", "MgAl2O4", "TiO2", "triclinic")
DIM = 8


@pytest.fixture(scope="module")
def published() -> ModuleType:
    checkout = os.environ.get("CGCNN_CHECKOUT")
    if not checkout:
        pytest.skip("set CGCNN_CHECKOUT to a checkout of the published CGCNN to compare")
    path = Path(checkout) / "cgcnn" / "model.py"
    spec = importlib.util.spec_from_file_location("published_cgcnn", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_our_weights(published: ModuleType, ours: nn.Module) -> nn.Module:
    theirs = published.CrystalGraphConvNet(92, 41, atom_fea_len=DIM, n_conv=3, h_fea_len=128)
    state: dict[str, Tensor] = ours.state_dict()

    def linear(layer: nn.Linear, name: str) -> None:
        layer.weight.data = state[f"{name}.weight"][0].T.clone()
        layer.bias.data = state[f"{name}.bias"][0, 0].clone()

    linear(theirs.embedding, "embedding.projection")
    linear(theirs.conv_to_fc, "pooled")
    linear(theirs.fc_out, "out")
    for layer, conv in enumerate(theirs.convs):
        parts = [state[f"convolutions.{layer}.{part}"][0] for part in ("own", "other", "edge")]
        conv.fc_full.weight.data = torch.cat(parts).T.clone()
        conv.fc_full.bias.data.zero_()  # ours has none: the batch norm would take it away
    return theirs.double()


def their_input(names: tuple[str, ...]) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """[N, 92], [N, 12, 41], [N, 12] and the atoms of each crystal."""
    graphs = graphs_of([named_crystals()[name] for name in names], "cgcnn")
    base = graphs.node_ptr[:-1][graphs.edge_crystal]
    src = torch.from_numpy((graphs.src + base).reshape(-1, 12))
    distance = torch.from_numpy(graphs.distance.reshape(-1, 12) / 1000)
    centres = torch.arange(41, dtype=torch.float64) * 0.2
    edges = torch.exp(-(((distance[..., None] - centres) / 0.2) ** 2))
    atoms = torch.from_numpy(descriptor.load()[graphs.z].astype(np.float64))
    ptr = graphs.node_ptr.tolist()
    owners = [torch.arange(a, b) for a, b in pairwise(ptr)]
    return atoms, edges, src, owners


def test_outputs_and_gradients_are_those_of_the_published_code(published: ModuleType) -> None:
    ours = model_of("cgcnn", ["H"], dim=DIM)
    ours.basis.centres = torch.arange(41, dtype=torch.float64) * 0.2  # not rounded to float32
    theirs = with_our_weights(published, ours)
    full = graphs_of([named_crystals()[name] for name in NAMES], "cgcnn")
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        value = ours(batch_of(quotient(full)))[0]
        torch.testing.assert_close(value, theirs(*their_input(NAMES))[:, 0], rtol=1e-9, atol=1e-9)
    ours.train().zero_grad()
    theirs.train().zero_grad()
    ours(batch_of(quotient(full))).square().sum().backward()
    theirs(*their_input(NAMES)).square().sum().backward()
    for layer, conv in enumerate(theirs.convs):
        mine = ours.convolutions[layer]  # type: ignore[index]
        gradient = torch.cat([mine.own.grad[0], mine.other.grad[0], mine.edge.grad[0]])
        torch.testing.assert_close(gradient.T, conv.fc_full.weight.grad, rtol=1e-8, atol=1e-10)
