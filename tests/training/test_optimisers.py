"""The recipes' optimisers are torch's, and start without its compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from trainables.models.recipe import Recipe
from trainables.training.optimisers import build_optimiser

KINDS = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
OWN = {"sgd": {"momentum": 0.9}, "adam": {}, "adamw": {"weight_decay": 0.3}}
WITHOUT_COMPILER = """
import sys
from trainables.testing.samples import made_up_dataset
from trainables.models.recipe import Recipe
from trainables.training.fit import ArrayFit
from trainables.training.specification import ArraySpec
recipe = Recipe(name="tuned", optimiser="adamw", lr=0.01, averaging=0.9, epochs=1, batch_size=8)
spec = ArraySpec(
    backbone=sys.argv[1], dim=4, mixings={"0": "0", "L": "L"}, fold=0, seed=0, recipe=recipe
)
fit = ArrayFit(spec, made_up_dataset(sys.argv[1], 20))
again = fit.save()
assert len(list(fit.advance())) == 2
ArrayFit(spec, made_up_dataset(sys.argv[1], 20)).load(again)
assert "torch._dynamo" not in sys.modules
"""


def trained(optimiser: Optimizer, model: nn.Module) -> list[torch.Tensor]:
    for step in range(4):
        model(torch.linspace(-1, step, 3)).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        optimiser.load_state_dict(optimiser.state_dict())
    return list(model.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_steps_are_torchs_to_the_bit(name: str) -> None:
    recipe = Recipe(name="tuned", optimiser=name, lr=0.02, weight_decay=0.3)  # type: ignore[arg-type]
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    torchs = KINDS[name](theirs.parameters(), lr=0.02, fused=True, **OWN[name])
    found, wanted = trained(build_optimiser(recipe, ours), ours), trained(torchs, theirs)
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize("backbone", ["cgcnn", "megnet"])  # PyTorch Geometric imports it
def test_a_training_does_not_import_the_compiler(backbone: str) -> None:
    command = [sys.executable, "-c", WITHOUT_COMPILER, backbone]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
