"""A stack of plain modules is those modules: outputs, gradients and buffers, step by step."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv

from trainables.models.heads import CrystalHead, SiteHead
from trainables.models.stacking import Stack
from trainables.representations.quotient import quotient
from trainables.testing.crystals import made_up
from trainables.testing.samples import batch_of, graphs_of

SEEDS = (3, 1, 4, 1, 5)


class Tied(nn.Module):
    """One module in two places, and one weight in two modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)
        self.again = self.first
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.again(self.first(x).tanh()).tanh())


class Counting(nn.Module):
    """A buffer that is replaced, and a constant."""

    calls: Tensor
    constant: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("constant", torch.arange(4.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return (x * self.weight + self.constant) * self.calls


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Softplus(), nn.Linear(8, 2))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "batch norm": normed, "tied": Tied, "buffers": Counting,
}  # fmt: skip


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in SEEDS]


def trained(module: nn.Module, inputs: list[Tensor], stacked: bool) -> list[Tensor]:
    """Outputs in training, step after step, and then one in evaluation."""
    # not Adam, which would blow up the rounding of a bias that batch norm takes out again
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05)
    seen = []
    for x in inputs:
        output = module(x)
        seen.append(output.detach())
        optimiser.zero_grad()
        output.square().mean(dim=tuple(range(stacked, output.dim()))).sum().backward()
        optimiser.step()
    module.eval()
    return [*seen, module(inputs[0]).detach()]


@pytest.mark.parametrize("kind", MODULES)
def test_each_member_is_what_it_is_alone(kind: str) -> None:
    inputs = list(torch.randn(6, len(SEEDS), 7, 4, generator=torch.Generator().manual_seed(0)))
    stack = Stack(MODULES[kind], generators())
    together = trained(stack, inputs, stacked=True)
    for k, generator in enumerate(generators()):
        alone = Stack(MODULES[kind], [generator])
        of_stack = trained(alone, [x[k : k + 1] for x in inputs], stacked=True)
        torch.manual_seed(SEEDS[k])
        plain = MODULES[kind]()
        of_plain = trained(plain, [x[k] for x in inputs], stacked=False)
        for ours, its, own in zip(together, of_stack, of_plain, strict=True):
            torch.testing.assert_close(ours[k], its[0])
            torch.testing.assert_close(ours[k], own)
        state = plain.state_dict()
        assert list(state) == [name.removeprefix("module.") for name in stack.state_dict()]
        for name, value in stack.state_dict().items():
            torch.testing.assert_close(value[k], state[name.removeprefix("module.")], msg=name)


def test_weights_come_from_the_members_own_generators() -> None:
    before = torch.get_rng_state()
    stack = Stack(normed, generators())
    weight = stack.module[0].weight
    assert torch.equal(weight[1], weight[3]) and not torch.equal(weight[0], weight[1])
    assert torch.equal(torch.get_rng_state(), before)
    one = generators()[0]
    first, second = (Stack(normed, [one]).module[0].weight for _ in range(2))
    assert torch.equal(first[0], weight[0]) and not torch.equal(first, second)


def test_evaluation_changes_no_buffer() -> None:
    stack = Stack(normed, generators()).eval()
    before = {name: value.clone() for name, value in stack.state_dict().items()}
    stack(torch.ones(len(SEEDS), 3, 4))
    assert all(torch.equal(value, before[name]) for name, value in stack.state_dict().items())


def test_generated_code_of_layers_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Alone(GCNConv):
        """A class of its own, so that its code has not been generated before."""

    class Stacked(GCNConv):
        """The same."""

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Alone(2, 2)
    assert len(list(tmp_path.glob("*.py"))) == 1
    Stack(lambda: Stacked(2, 2), generators())
    assert len(list(tmp_path.glob("*.py"))) == 1


def test_dropout_is_refused_by_name() -> None:
    def make(p: float) -> Callable[[], nn.Module]:
        return lambda: nn.Sequential(nn.Linear(2, 2), nn.Dropout(p))

    with pytest.raises(ValueError, match=r"^Sequential: 1 drops out at random.*set p=0$"):
        Stack(make(0.1), generators())
    Stack(make(0.0), generators())


def test_a_head_counts_atoms_not_nodes() -> None:
    full = graphs_of(made_up(8), "megnet")
    small = quotient(full)
    head = CrystalHead(3).double()
    of_element = torch.randn(119, 3, dtype=torch.float64)
    batches = batch_of(full), batch_of(small)
    atoms, nodes = (head(of_element[batch.z], batch) for batch in batches)
    assert len(small.z) < len(full.z)
    torch.testing.assert_close(atoms, nodes)
    site = head.out(nn.functional.softplus(head.hidden(of_element[batches[0].z])))[:, 0]
    first = batches[0].node_crystal == 0
    torch.testing.assert_close(atoms[0], site[first].mean())
    several = CrystalHead(3, 5).double()
    atoms, nodes = (several(of_element[batch.z], batch) for batch in batches)
    assert nodes.shape == (8, 5)
    torch.testing.assert_close(atoms, nodes)


def test_a_head_of_sites_has_a_number_a_node() -> None:
    batch = batch_of(graphs_of(made_up(4), "megnet"))
    head = SiteHead(3).double()
    nodes = torch.randn(len(batch.z), 3, dtype=torch.float64)
    said = head(nodes, batch)
    assert said.shape == (len(batch.z),)
    torch.testing.assert_close(said[5:6], head(nodes[5:6], batch))
