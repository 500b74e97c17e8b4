"""CrabNet against a padded one made of torch's own layers, and against the published code.

The published code is compared where `CRABNET_CHECKOUT` names a checkout of it.
"""

from __future__ import annotations

import importlib.util
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analysis.shipped import element_table
from tests.compositions_for_tests import made_up_compositions, made_up_table
from trainables.compositions.dataset import Compositions
from trainables.models.crabnet import DROPOUT, CompositionBatch, CrabNet, Noise
from trainables.models.options import CrabNetOptions
from trainables.training.compositions import DeviceCompositions

SHAPE = CrabNetOptions(width=16, layers=2, heads=4, hidden=24, head_widths=(20, 12))
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def model_of(*columns: int, seed: int = 0, **changes: Any) -> CrabNet:
    """An array of untrained models, each with a table of so many columns."""
    generators = [torch.Generator().manual_seed(seed + k) for k in range(len(columns))]
    tables = [by_number(made_up_table(width, seed=width)) for width in columns]
    return CrabNet(generators, tables, **{"options": SHAPE, **changes}).double()


def by_number(table: np.ndarray) -> Tensor:
    return torch.from_numpy(np.vstack([np.zeros_like(table[:1]), table]))


def batch_of(data: Compositions, rows: np.ndarray | None = None) -> CompositionBatch:
    rows = np.arange(len(data)) if rows is None else rows
    return DeviceCompositions(data, CPU, torch.float64).batch(rows, np.ones(len(rows), bool))


def padded(data: Compositions) -> tuple[Tensor, Tensor]:
    """Atomic numbers and shares [B, P], 0 where there is no element."""
    places = int(np.diff(data.ptr).max())
    numbers = torch.zeros(len(data), places, dtype=torch.int64)
    shares = torch.zeros(len(data), places)
    for row in range(len(data)):
        part = slice(data.ptr[row], data.ptr[row + 1])
        size = part.stop - part.start
        numbers[row, :size] = torch.from_numpy(data.z[part].astype(np.int64))
        shares[row, :size] = torch.from_numpy(data.fraction[part])
    return numbers, shares


def torch_linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[0], weight.shape[1], bias=bias is not None)
    layer.weight.data = weight.T.clone()
    if bias is not None:
        layer.bias.data = bias[0].clone()
    return layer


def fill_encoder(encoder: nn.TransformerEncoder, state: dict[str, Tensor], prefix: str) -> None:
    """Puts the weights of one of our models into torch's encoder."""
    for number, layer in enumerate(encoder.layers):
        own = {
            name.removeprefix(f"{prefix}{number}."): value[0]
            for name, value in state.items()
            if name.startswith(f"{prefix}{number}.")
        }
        layer.self_attn.in_proj_weight.data = own["project"].T.clone()
        layer.self_attn.in_proj_bias.data = own["project_bias"][0].clone()
        pairs = (
            (layer.self_attn.out_proj, "join"), (layer.linear1, "first"), (layer.linear2, "second"),
        )  # fmt: skip
        for theirs, name in pairs:
            theirs.weight.data = own[f"{name}.weight"].T.clone()
            theirs.bias.data = own[f"{name}.bias"][0].clone()
        for theirs, name in ((layer.norm1, "norm_1"), (layer.norm2, "norm_2")):
            theirs.weight.data = own[f"{name}.weight"][0].clone()
            theirs.bias.data = own[f"{name}.bias"][0].clone()


def waves(shares: Tensor, width: int, logarithmic: bool) -> Tensor:
    """The encoding of shares, element by element from its definition."""
    found = torch.zeros(*shares.shape, width // 2)
    for at in np.ndindex(*shares.shape):
        share = float(shares[at])
        if share == 0:
            continue
        x = 0.0025 * math.log2(share) ** 2 if logarithmic else share
        step = round(min(max(x, 1 / 5000), 1.0) * 5000) - 1
        for column in range(width // 2):
            angle = step / 50 ** (2 * column / (width // 2))
            found[at][column] = math.sin(angle) if column % 2 == 0 else math.cos(angle)
    return found


def reference(ours: CrabNet, data: Compositions) -> Tensor:
    """[B, 2] by padding, torch's encoder and a mean over what is not padding."""
    state = ours.state_dict()
    numbers, shares = padded(data)
    empty = numbers == 0
    width, heads = SHAPE.width, SHAPE.heads
    scales = [state[f"scales.{number}"].item() for number in range(3)]
    x = state["table"][0][numbers] @ state["enter.weight"][0] + state["enter.bias"][0]
    x = x * 2 ** scales[0]
    small = waves(shares, width, logarithmic=True) * 2 ** ((1 - scales[2]) ** 2)
    x = x + torch.cat([waves(shares, width, False) * 2 ** ((1 - scales[1]) ** 2), small], -1)
    layer = nn.TransformerEncoderLayer(width, heads, SHAPE.hidden, 0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, SHAPE.layers, enable_nested_tensor=False)
    fill_encoder(encoder, state, "layers.")
    x = encoder(x, src_key_padding_mask=empty)
    for number in range(len(SHAPE.head_widths)):
        dense = state[f"head.dense.{number}.weight"][0], state[f"head.dense.{number}.bias"][0]
        past = state[f"head.past.{number}.weight"][0]
        x = nn.functional.leaky_relu(x @ dense[0] + dense[1]) + x @ past
    raw = x @ state["head.out.weight"][0] + state["head.out.bias"][0]
    mean = raw.masked_fill(empty[..., None], 0).sum(1) / (~empty).sum(1, keepdim=True)
    return torch.stack([mean[:, 0] * torch.sigmoid(mean[:, 2]), mean[:, 1]], dim=-1)


def test_the_same_as_a_padded_one_of_torchs_layers() -> None:
    data = made_up_compositions(30)
    ours = model_of(7).eval()
    with torch.no_grad():
        for number, scale in enumerate(ours.scales):
            scale.fill_(0.4 + 0.3 * number)
        torch.testing.assert_close(ours(batch_of(data))[0], reference(ours, data))


def test_order_of_elements_and_company_do_not_matter() -> None:
    data = made_up_compositions(20)
    ours = model_of(5).eval()
    with torch.no_grad():
        together = ours(batch_of(data))[0]
        alone = ours(batch_of(data, np.array([3, 17])))[0]
        torch.testing.assert_close(alone, together[[3, 17]])
        turned = np.concatenate([np.arange(a, b)[::-1] for a, b in pairwise(data.ptr)])
        other = Compositions(**{**vars(data), "z": data.z[turned],
                                "fraction": data.fraction[turned]})  # fmt: skip
        torch.testing.assert_close(ours(batch_of(other))[0], together)


def test_tables_of_different_widths_side_by_side() -> None:
    """Each model starts as it would alone, and gives and learns the same."""
    data = made_up_compositions(12)
    batch = batch_of(data)
    together = model_of(3, 8, 5, trainable=True)
    alone = model_of(3, seed=0, columns=8, trainable=True), CrabNet(
        [torch.Generator().manual_seed(2)], [by_number(made_up_table(5, seed=5))],
        trainable=True, options=SHAPE,
    ).double()  # fmt: skip
    both = together(batch)
    both.square().sum().backward()
    for place, single in zip((0, 2), alone, strict=True):
        own = single(batch)
        torch.testing.assert_close(own[0], both[place])
        own.square().sum().backward()
        others = dict(together.named_parameters())
        for name, parameter in single.named_parameters():
            wide = others[name].grad[place]
            part = tuple(slice(0, size) for size in parameter.shape[1:])
            torch.testing.assert_close(wide[part], parameter.grad[0], msg=name)
            outside = wide.clone()
            outside[part] = 0
            assert not outside.any(), f"{name}: what is padding does not learn"


def test_a_frozen_table_is_no_parameter() -> None:
    assert "table" not in dict(model_of(4).named_parameters())
    assert "table" in dict(model_of(4, trainable=True).named_parameters())
    assert "table" in model_of(4).state_dict()


def test_layers_start_as_torchs_do() -> None:
    """Bounds of the uniform draws: 1/√fan-in, Glorot's for the projections, no bias there."""
    wider = replace(SHAPE, width=64, hidden=128)
    state = model_of(7, options=wider).state_dict()
    bounds = {
        "enter.weight": 1 / math.sqrt(7), "layers.0.first.weight": 1 / 8,
        "layers.0.second.bias": 1 / math.sqrt(128), "layers.1.project": math.sqrt(6 / 256),
        "layers.0.join.weight": 1 / 8, "head.dense.0.bias": 1 / 8,
    }  # fmt: skip
    for name, bound in bounds.items():
        largest = float(state[name].abs().max())
        assert 0.8 * bound < largest <= bound, name
    assert not state["layers.0.project_bias"].any() and not state["layers.1.join.bias"].any()
    assert not torch.equal(state["layers.0.project"], state["layers.1.project"])


def noise(rows: list[int], tokens: list[int], seed: int = 0) -> Noise:
    generator = torch.Generator().manual_seed(seed)
    return Noise(generator, 6, 11, torch.tensor(rows), torch.tensor(tokens))


def test_noise_is_drawn_for_all_and_taken_for_some() -> None:
    dtype = torch.float32
    whole = noise([0, 1, 2, 3, 4, 5], list(range(11))).of_elements(400, dtype)
    some = noise([1], [2, 7]).of_elements(400, dtype)
    assert torch.equal(some, whole[[2, 7]])
    assert whole.unique().tolist() == pytest.approx([0, 1 / (1 - DROPOUT)])
    assert float(whole.mean()) == pytest.approx(1, abs=0.05)
    pairs = noise([4], [0]).of_pairs(2, 3, dtype)
    assert pairs.shape == (1, 2, 3, 3)
    assert torch.equal(pairs[0], noise([0, 4], [0]).of_pairs(2, 3, dtype)[1])


def test_noise_changes_what_is_said_in_training_alone() -> None:
    data = made_up_compositions(9)
    source = DeviceCompositions(data, CPU, torch.float64)
    rows, every = np.arange(9), np.ones(9, bool)
    ours = model_of(4)
    with torch.no_grad():
        said = [
            ours(source.batch(rows, every, torch.Generator().manual_seed(s))) for s in (1, 1, 2)
        ]
        plain = ours(source.batch(rows, every))
    assert torch.equal(said[0], said[1]) and not torch.equal(said[0], said[2])
    assert not torch.allclose(said[0], plain)


# ------------------------------------------------------------------------ the published code


@pytest.fixture(scope="module")
def published() -> Iterator[ModuleType]:
    checkout = os.environ.get("CRABNET_CHECKOUT")
    if not checkout:
        pytest.skip("set CRABNET_CHECKOUT to a checkout of the published CrabNet to compare")
    spec = importlib.util.spec_from_file_location(
        "published_crabnet", Path(checkout) / "crabnet" / "kingcrab.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = Path.cwd()
    os.chdir(checkout)  # it reads its element table from there
    sys.modules[spec.name] = module
    try:
        torch.set_default_dtype(torch.float32)
        spec.loader.exec_module(module)
        yield module
    finally:
        os.chdir(before)


def test_outputs_are_those_of_the_published_code(published: ModuleType) -> None:
    torch.set_default_dtype(torch.float32)
    theirs = published.CrabNet(d_model=512, N=3, heads=4).eval()
    encoder = theirs.encoder
    table = encoder.embed.cbfv.weight.detach()  # rows by atomic number, 0 for none
    ours = CrabNet([torch.Generator().manual_seed(3)], [table]).eval()
    state = ours.state_dict()
    with torch.no_grad():
        for number, scale in enumerate(ours.scales):
            scale.fill_(0.7 + 0.2 * number)
        names = ("emb_scaler", "pos_scaler", "pos_scaler_log")
        for name, scale in zip(names, ours.scales, strict=True):
            getattr(encoder, name).fill_(scale.item())
        encoder.embed.fc_mat2vec.weight.data = state["enter.weight"][0].T.clone()
        encoder.embed.fc_mat2vec.bias.data = state["enter.bias"][0, 0].clone()
        fill_encoder(encoder.transformer_encoder, state, "layers.")
        head = theirs.output_nn
        for number, (dense, past) in enumerate(zip(head.fcs, head.res_fcs, strict=True)):
            dense.weight.data = state[f"head.dense.{number}.weight"][0].T.clone()
            dense.bias.data = state[f"head.dense.{number}.bias"][0, 0].clone()
            past.weight.data = state[f"head.past.{number}.weight"][0].T.clone()
        head.fc_out.weight.data = state["head.out.weight"][0].T.clone()
        head.fc_out.bias.data = state["head.out.bias"][0, 0].clone()
        data = made_up_compositions(25)
        numbers, shares = padded(data)
        wanted = theirs(numbers, shares.float())
        source = DeviceCompositions(data, CPU, torch.float32)
        said = ours(source.batch(np.arange(25), np.ones(25, bool)))[0]
    torch.testing.assert_close(said, wanted, rtol=1e-4, atol=1e-5)


def test_the_published_code_takes_a_shipped_table(
    published: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CrabNet 2.0.8, whose file of vectors the table replaces, as docs/tables.md says."""
    if not hasattr(published, "SubCrab"):
        pytest.skip("an older CrabNet, which looks for its table elsewhere; take 2.0.8")
    torch.set_default_dtype(torch.float32)
    table = element_table("Mat2Vec-H-32")
    folder = tmp_path / "data" / "element_properties"
    folder.mkdir(parents=True)
    table.write(folder / "mat2vec.csv")
    monkeypatch.setattr(published, "__file__", str(tmp_path / "kingcrab.py"))
    theirs = published.SubCrab(d_model=512, N=3, heads=4, elem_prop="any").eval()
    rows = theirs.encoder.embed.cbfv.weight
    assert not rows[0].any(), "no element"
    np.testing.assert_allclose(rows[1:].numpy(), table.vectors, rtol=1e-6)
    numbers, shares = (
        torch.tensor([[26, 8, 0], [118, 0, 0]]),
        torch.tensor([[0.4, 0.6, 0], [1, 0, 0]]),
    )
    with torch.no_grad():
        out = theirs(numbers, shares)
    assert out.shape[0] == 2 and out.isfinite().all()
