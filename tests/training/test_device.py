"""Requirements of GPUs, tested without one: nothing waits, nothing is compiled again."""

from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.kernels import ops
from trainables.models.backbones import BACKBONES
from trainables.models.recipe import Recipe
from trainables.testing.samples import made_up_dataset
from trainables.training import compiled
from trainables.training.array import ArrayTraining
from trainables.training.fit import ArrayFit
from trainables.training.specification import ArraySpec

# Operations that bring a value to the host, or whose result's shape depends on values.
WAITING = {
    "aten::_local_scalar_dense",
    "aten::equal",
    "aten::is_nonzero",
    "aten::masked_select",
    "aten::nonzero",
    "aten::unique_dim",
    "aten::_unique2",
}
both = pytest.mark.parametrize("backbone", BACKBONES)


def training(backbone: str, **changes: Any) -> ArrayTraining:
    recipe = Recipe(name="tuned", optimiser="adamw", lr=1e-3, **{"epochs": 2} | changes)
    mixings = {"H": "a", "0": "b", "L": "c"}
    spec = ArraySpec(backbone=backbone, dim=4, mixings=mixings, fold=0, seed=0, recipe=recipe)
    return ArrayFit(spec, made_up_dataset(backbone, 40)).training


class Waits(TorchDispatchMode):
    """Counts the operations for which the host would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        name = func._schema.name
        sized = name != "aten::repeat_interleave" or (kwargs or {}).get("output_size") is not None
        masked = name == "aten::index" and any(
            part is not None and part.dtype == torch.bool for part in args[1]
        )
        if name in WAITING or masked or not sized:
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))


def test_a_wait_is_seen() -> None:
    with Waits() as waits:
        torch.repeat_interleave(torch.arange(3), torch.arange(3))
        torch.arange(3)[torch.tensor([True, False, True])]
        float(torch.ones(3).sum())
    assert set(waits.seen) == {
        "aten::repeat_interleave",
        "aten::index",
        "aten::_local_scalar_dense",
    }


@both
@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_the_host_never_waits_within_an_epoch(backbone: str, averaging: float) -> None:
    array = training(backbone, averaging=averaging, batch_size=8)
    array.run_epoch()
    with ops.plain(), Waits() as waits:
        array._optimise()
    assert not waits.seen


@pytest.mark.parametrize(
    "backbone", [name for name, spec in BACKBONES.items() if spec.stacking == "native"]
)
def test_compiled_once_for_all_batches_and_arrays(
    backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = CompileCounter()
    array, plain = training(backbone, batch_size=8), training(backbone, batch_size=8)
    with ops.plain():
        array._forward = compiled.compiled(array.model, graphs)
        array.run_epoch()
        first = graphs.frame_count
        assert first == 1
        array._select([0, 2])
        array.run_epoch()
        plain.run_epoch()
        plain._select([0, 2])
        plain.run_epoch()
    assert graphs.frame_count == first
    for ours, other in zip(array.active, plain.active, strict=True):
        assert ours.train_loss == pytest.approx(other.train_loss, rel=1e-5)


def test_only_a_long_training_on_a_gpu_is_compiled() -> None:
    model = torch.nn.Identity()
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert compiled.forward_of(model, cpu, 10**9) is model
    assert compiled.forward_of(model, cuda, 100) is model
    assert compiled.forward_of(model, cuda, 10**6) is not model
    vmapped = training("schnet").model
    assert compiled.forward_of(vmapped, cuda, 10**6) is vmapped


def test_compiled_code_is_kept_where_nobody_else_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"

    def asked(cache: Path, **given: str) -> list[Path]:
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
        for name in names:
            monkeypatch.setenv(name, given.get(name, ""))
        compiled.compiled(torch.nn.Identity(), "eager")
        return [Path(os.environ[name]) for name in names]

    inductor, triton = asked(tmp_path / "own")
    assert inductor.parent == triton.parent == tmp_path / "own" / "elemgrid" / "compiled"
    assert stat.S_IMODE(inductor.parent.stat().st_mode) == 0o700
    assert asked(tmp_path / "own", TRITON_CACHE_DIR="/chosen") == [inductor, Path("/chosen")]
    # one that others may write is not used; what takes its place is new and private
    inductor.parent.chmod(0o777)
    instead, _ = asked(tmp_path / "own")
    assert tmp_path not in instead.parents
    assert stat.S_IMODE(instead.parent.stat().st_mode) == 0o700
