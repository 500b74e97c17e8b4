"""How the kernels are built, and what happens where they cannot be."""

from __future__ import annotations

import dataclasses
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.orchestrator.small_disks import small_disk
from trainables.kernels import library, ops
from trainables.models.backbones import BACKBONES
from trainables.testing.samples import made_up_dataset
from trainables.training.fit import fit
from trainables.training.specification import ArraySpec


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
    assert f"others can write {folder}, and what lies there is run" in library.missing()


# What a process says of the kernels: whether they are there and work, and how often it built them.
CHILD = """
import ctypes
from trainables.kernels import library
built, make = [], library._built
library._built = lambda command: built.append(command) or make(command)
kernels = library.load()
outside = kernels and kernels.any_outside(*map(ctypes.c_int64, (2, 7)), (ctypes.c_int64 * 2)(0, 7))
print(library.missing() if kernels is None else "there", outside, len(built))
"""


@pytest.fixture(scope="module")
def quick_compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiler without the optimisation that takes most of its time."""
    command = library.compiler()
    if shutil.which(command) is None:
        pytest.skip("no C++ compiler on this machine")
    path = tmp_path_factory.mktemp("compiler") / "quick"
    path.write_text(f'#!/bin/sh\nexec {command} "$@" -O0\n')
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def in_child(quick_compiler: Path) -> Callable[..., str]:
    """The output of a process that uses a cache folder."""

    def run(cache: Path | str, **more: str) -> str:
        environment = {**os.environ, "CXX": str(quick_compiler), "XDG_CACHE_HOME": str(cache)}
        command = [sys.executable, "-c", CHILD]
        done = subprocess.run(
            command, env=environment | more, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


InChild = Callable[..., str]


@pytest.fixture(scope="module")
def built_cache(tmp_path_factory: pytest.TempPathFactory, in_child: InChild) -> Path:
    """A cache folder with the library in it."""
    cache = tmp_path_factory.mktemp("cache")
    assert in_child(cache) == "there 1 1"
    return cache


def kept_in(cache: Path) -> list[Path]:
    return sorted((cache / "elemgrid" / "kernels").iterdir())


def cut(content: bytes) -> bytes:
    return content[: len(content) // 3]


def emptied(content: bytes) -> bytes:
    return b""


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


def zeroed(content: bytes) -> bytes:
    """The state of a file whose size was written before its blocks."""
    return bytes(len(content))


@pytest.mark.parametrize("damage", [cut, emptied, flipped, zeroed])
def test_a_damaged_library_is_built_again_once(
    built_cache: Path, in_child: InChild, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    cache = shutil.copytree(built_cache, tmp_path / "cache")
    (kept,) = kept_in(cache)
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert in_child(cache) == "there 1 1"
    (again,) = kept_in(cache)
    assert again.read_bytes()[:4] == whole[:4] and len(again.read_bytes()) == len(whole)
    assert in_child(cache) == "there 1 0"


def test_processes_that_build_at_once_agree(tmp_path: Path, in_child: InChild) -> None:
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(in_child, [tmp_path / "cache"] * 2))
    assert all(one.startswith("there 1") for one in said)
    assert in_child(tmp_path / "cache") == "there 1 0"
    assert all(path.suffix == ".so" for path in kept_in(tmp_path / "cache"))


def test_where_the_cache_cannot_be_written_they_are_built_for_one_process(
    tmp_path: Path, in_child: InChild
) -> None:
    (tmp_path / "elemgrid").write_text("a file where the folder should be")
    assert in_child(tmp_path) == "there 1 1"
    assert os.listdir(tmp_path) == ["elemgrid"]


def test_a_full_disk_does_not_take_them_away(tmp_path: Path, in_child: InChild) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        assert in_child(disk.folder) == "there 1 1"
        assert kept_in(disk.folder) == []


def test_another_users_cache_is_refused(
    tmp_path: Path, built_cache: Path, in_child: InChild
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    for given in ("elemgrid/kernels", "elemgrid", "."):
        cache = shutil.copytree(built_cache, tmp_path / given.replace("/", "-") / "cache")
        os.chown(cache / given, 12345, 12345)
        said = in_child(cache)
        assert said.endswith("None 0") and str((cache / given).resolve()) in said
        assert "another user" in said and "\n" not in said


def test_a_cache_below_a_folder_where_anybody_may_rename_is_refused(
    tmp_path: Path, built_cache: Path, in_child: InChild
) -> None:
    cache = shutil.copytree(built_cache, tmp_path / "open" / "cache")
    (tmp_path / "open").chmod(0o777)
    assert "another user can replace what is in" in in_child(cache)
    (tmp_path / "open").chmod(0o1777)  # as /tmp: each may rename what is his own
    assert in_child(cache) == "there 1 0"


@pytest.mark.parametrize("named", ["", "relative/cache"])
def test_a_cache_folder_that_is_not_named_absolutely_is_the_usual_one(
    tmp_path: Path, built_cache: Path, in_child: InChild, named: str
) -> None:
    shutil.copytree(built_cache, tmp_path / ".cache")
    assert in_child(named, HOME=str(tmp_path)) == "there 1 0"
    assert not Path("relative").exists()


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
        assert ours.history.train_loss == pytest.approx(plain.history.train_loss, rel=1e-4)
        assert ours.metrics["test_mae"] == pytest.approx(plain.metrics["test_mae"], rel=1e-3)
