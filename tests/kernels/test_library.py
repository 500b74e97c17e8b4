"""How the kernels are built, and what happens where they cannot be."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.crystals_for_tests import made_up_dataset
from trainables.backbones import BACKBONES
from trainables.kernels import library, ops
from trainables.training.fit import ArraySpec, fit


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    library.load.cache_clear()
    yield
    library.load.cache_clear()


def test_built_once_into_a_folder_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if library.load() is None:
        pytest.skip("no C++ compiler on this machine")
    library.load.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert library.load() is not None
    folder = tmp_path / "elemgrid" / "kernels"
    (built,) = folder.iterdir()  # and nothing half-made beside it
    assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0
    first = built.stat().st_mtime_ns
    library.load.cache_clear()
    assert library.load() is not None
    assert built.stat().st_mtime_ns == first


@pytest.mark.parametrize(
    ("name", "value"), [(library.SWITCH, "0"), ("CXX", "no-such-compiler"), ("CXX", "false")]
)
def test_training_goes_on_without_them(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(name, value)
    assert library.load() is None
    assert not ops.fused(torch.zeros(1))
    assert ops.softplus(torch.zeros(1, 1, 1)).item() == pytest.approx(0.6931472)
    assert not any((tmp_path / "elemgrid").rglob("*.so"))
    assert library.missing().startswith(
        f"{name}=0" if value == "0" else f"no C++ compiler ({value})"
    )


def test_a_cache_that_others_may_write_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elemgrid" / "kernels"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert library.load() is None
    assert not os.listdir(folder)


@pytest.mark.parametrize("backbone", ["cgcnn", "megnet"])
def test_a_training_is_the_same_with_and_without(
    backbone: str,
) -> None:
    spec = ArraySpec(
        backbone=backbone,
        dim=8,
        mixings={"H": "a", "L": "b"},
        fold=0,
        seed=0,
        recipe=dataclasses.replace(BACKBONES[backbone].recipes["paper"], epochs=3, batch_size=8),
    )
    dataset = made_up_dataset(backbone, 24)
    with_kernels = fit(spec, dataset)
    with ops.plain():
        without = fit(spec, dataset)
    for ours, plain in zip(with_kernels, without, strict=True):
        assert ours.course.train_loss == pytest.approx(plain.course.train_loss, rel=1e-4)
        assert ours.metrics["test_mae"] == pytest.approx(plain.metrics["test_mae"], rel=1e-3)
